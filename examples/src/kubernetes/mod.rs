//! What kubectl and the API server say to a program of ours, and what they want to hear.

mod exec_credential;
mod token_review;

pub use exec_credential::{ExecInfo, ExecInfoProblem, ExecVersion};
pub use token_review::{Answer, Identity, Mapping, TokenReview, TokenReviewProblem};

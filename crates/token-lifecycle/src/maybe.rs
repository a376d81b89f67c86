//! `Send` where there are threads.

use std::future::Future;
use std::pin::Pin;

/// `Send` natively, nothing in the browser, where futures stay on one thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, nothing in the browser, where futures stay on one thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` natively, nothing in the browser.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}

/// `Sync` natively, nothing in the browser.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// A future on the heap, `Send` where there are threads.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A future on the heap, `Send` where there are threads.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Something to call, `Send` where there are threads.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxCall = Box<dyn Fn() + Send + Sync>;
/// Something to call, `Send` where there are threads.
#[cfg(target_arch = "wasm32")]
pub type BoxCall = Box<dyn Fn()>;

/// Something to keep until it is dropped, `Send` where there are threads.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxGuard = Box<dyn std::any::Any + Send>;
/// Something to keep until it is dropped, `Send` where there are threads.
#[cfg(target_arch = "wasm32")]
pub type BoxGuard = Box<dyn std::any::Any>;

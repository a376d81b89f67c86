//! The pages that a person sees: plain HTML, no script needed.

use crate::{encoding::escape_html, http::Fields, message::Response};

fn page(status: u16, title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    );
    Response::new(status)
        .with_header("Content-Type", "text/html;charset=utf-8")
        .with_header("Cache-Control", "no-store, must-revalidate, max-age=0")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Frame-Options", "SAMEORIGIN")
        .with_body(html)
}

/// The form with `username` and `password`, and `cancel` where the person is asked.
pub(super) fn sign_in(action: &str, message: Option<&str>, has_cancel: bool) -> Response {
    let message = message.map_or_else(String::new, |text| {
        format!("<p id=\"input-error\" role=\"alert\">{}</p>\n", escape_html(text))
    });
    let cancel = if has_cancel {
        "\n<button type=\"submit\" name=\"cancel\" id=\"kc-cancel\" value=\"cancel\" formnovalidate>Cancel</button>"
    } else {
        ""
    };
    let body = format!(
        "{message}<form id=\"kc-form-login\" action=\"{}\" method=\"post\">\n\
         <p><label for=\"username\">Username</label> <input id=\"username\" name=\"username\" autocomplete=\"username\" autofocus></p>\n\
         <p><label for=\"password\">Password</label> <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\"></p>\n\
         <button type=\"submit\" name=\"login\" id=\"kc-login\">Sign In</button>{cancel}\n</form>",
        escape_html(action)
    );
    page(200, "Sign in to HashiCorp", &body)
}

/// Something that the person cannot mend.
pub(super) fn sorry(message: &str) -> Response {
    let body = format!("<p id=\"kc-error-message\" class=\"instruction\">{}</p>", escape_html(message));
    page(400, "We are sorry...", &body)
}

/// The browser posts the response to the client's address, as
/// [OAuth 2.0 Form Post Response Mode](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html) has it.
pub(super) fn form_post(action: &str, fields: &[(String, String)]) -> Response {
    let input = |(name, value): &(String, String)| {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape_html(name), escape_html(value))
    };
    let inputs = fields.iter().map(input).collect::<Vec<_>>().concat();
    let body = format!(
        "<form method=\"post\" action=\"{}\">\n{inputs}<button type=\"submit\">Continue</button>\n</form>\n\
         <script>document.forms[0].submit()</script>",
        escape_html(action)
    );
    page(200, "Form post", &body)
}

/// The code for a person to copy, in a read-only field.
pub(super) fn out_of_band(fields: &Fields) -> Response {
    match fields.value("code") {
        Some(code) => page(
            200,
            "Success code",
            &format!(
                "<p>Please copy this code and paste it into your application:</p>\n\
                 <input id=\"code\" readonly=\"readonly\" value=\"{}\">",
                escape_html(code)
            ),
        ),
        None => page(
            200,
            "Error code",
            &format!("<p id=\"error\">{}</p>", escape_html(fields.value("error").unwrap_or_default())),
        ),
    }
}

/// Something that went as it should, or did not; there is nothing to do.
pub(super) fn notice(title: &str, message: &str) -> Response {
    page(200, title, &format!("<p class=\"instruction\">{}</p>", escape_html(message)))
}

/// The form for the code that a device shows.
pub(super) fn user_code(action: &str, message: Option<&str>) -> Response {
    let status = if message.is_some() { 401 } else { 200 };
    let message = message.map_or_else(String::new, |text| {
        format!("<p id=\"input-error\" role=\"alert\">{}</p>\n", escape_html(text))
    });
    let body = format!(
        "{message}<form id=\"kc-user-verify-device-user-code-form\" action=\"{}\" method=\"post\">\n\
         <p><label for=\"device-user-code\">Enter the code provided by your device and click Submit</label> \
         <input id=\"device-user-code\" name=\"device_user_code\" autocomplete=\"off\" autofocus></p>\n\
         <button type=\"submit\">Submit</button>\n</form>",
        escape_html(action)
    );
    page(status, "Device Login", &body)
}

/// Asks whether the session is to end.
pub(super) fn confirm_logout(action: &str) -> Response {
    let body = format!(
        "<p class=\"instruction\">Do you want to log out?</p>\n\
         <form id=\"kc-logout-confirm\" action=\"{}\" method=\"post\">\n\
         <button type=\"submit\" name=\"confirmLogout\" id=\"kc-logout\">Logout</button>\n</form>",
        escape_html(action)
    );
    page(200, "Logging out", &body)
}

/// Tells a client by a hidden frame, and then lets the person go on, as Keycloak does.
pub(super) fn signed_out_with_frame(frame: &str, target: Option<&str>) -> Response {
    let onward = target.map_or_else(String::new, |target| {
        format!("\n<a id=\"continue\" href=\"{}\">Continue</a>", escape_html(target))
    });
    let body = format!(
        "<p class=\"instruction\">You are logging out from following apps</p>\n\
         <iframe src=\"{}\" style=\"display:none;\"></iframe>{onward}",
        escape_html(frame)
    );
    page(200, "Logging out", &body)
}

pub(super) fn signed_out() -> Response {
    notice("You are logged out", "You are logged out")
}

/// Where the form of a page goes.
pub(super) fn form_action(html: &str) -> Option<String> {
    let (_, rest) = html.split_once("<form id=\"kc-form-login\" action=\"")?;
    rest.split_once('"').map(|(action, _)| action.replace("&amp;", "&"))
}

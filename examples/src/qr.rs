//! An address as a picture in the terminal, for the camera of another device.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Draws a text: two rows of the picture in a line, light on dark as a camera wants it on a dark terminal. `None`
/// where the text is too long for a picture that fits a terminal.
pub fn drawn(text: &str) -> Option<String> {
    // Version 10 is 57 signs wide and holds 271 bytes; wider than 80 would break the lines.
    const WIDEST: usize = 57;
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    (code.width() <= WIDEST).then(|| {
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .quiet_zone(true)
            .build()
    })
}

#[cfg(test)]
mod tests {
    use super::drawn;

    /// What a camera sees: each sign is two points, the upper and the lower.
    fn seen(drawn: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let half = |upper: &str| line.chars().map(|sign| !upper.contains(sign)).collect::<Vec<bool>>();
            rows.extend([half("█▀"), half("█▄")]);
        }
        rows
    }

    #[test]
    fn a_camera_reads_the_address() {
        const ADDRESS: &str = "https://id.example/realms/HashiCorp/device?user_code=WDJB-MJHT";
        let points = seen(&drawn(ADDRESS).unwrap());
        // A camera has more points than the picture.
        let dark = |x: usize, y: usize| {
            points.get(y / 4).and_then(|row| row.get(x / 4)).copied().unwrap_or_default()
        };
        let side = points[0].len() * 4;
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| if dark(x, y) { 0 } else { 255 });
        let (_, read) = image.detect_grids()[0].decode().unwrap();
        assert_eq!(read, ADDRESS);
    }

    #[test]
    fn an_address_that_does_not_fit_a_terminal_is_not_drawn() {
        assert!(drawn(&format!("https://id.example/{}", "x".repeat(2000))).is_none());
        assert!(drawn(&"x".repeat(5000)).is_none());
    }
}

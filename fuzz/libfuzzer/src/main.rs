//! One target under libFuzzer: `cargo xtask fuzz TARGET`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<latchkey_fuzz::Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("LATCHKEY_FUZZ_TARGET").expect("LATCHKEY_FUZZ_TARGET names the target");
        latchkey_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
    });
    (target.run)(data);
});

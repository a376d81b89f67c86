//! Tabs of one browser take turns: what a store of refresh tokens that they share does before it reads, and until it has
//! written. The npm package's tests open two tabs with it.

#![cfg(target_arch = "wasm32")]

use latchkey_token_lifecycle::BoxGuard;
use latchkey_token_lifecycle::runtime::web_lock;
use wasm_bindgen::prelude::wasm_bindgen;

/// While this is not freed, no other tab goes on.
#[wasm_bindgen]
pub struct Turn {
    _guard: BoxGuard,
}

/// Waits for this tab's turn. Nothing where the browser has no Web Locks.
#[wasm_bindgen]
pub async fn turn(name: String) -> Result<Option<Turn>, String> {
    let guard = web_lock(&name).await.map_err(|error| error.to_string())?;
    Ok(guard.map(|guard| Turn { _guard: guard }))
}

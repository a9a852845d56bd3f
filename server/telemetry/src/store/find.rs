//! Questions of the command palette and of the map's drawer to the store.

use super::Store;
use crate::symbols::Symbols;
use contract::trace::{LogView, TraceRow};

impl Store {
    /// Traces whose id begins with these hexadecimal digits, newest first.
    pub(crate) fn traces_beginning(&mut self, digits: &str, symbols: &Symbols) -> Vec<TraceRow> {
        let bits = u32::try_from(digits.len()).unwrap_or(u32::MAX).saturating_mul(4);
        let (Ok(wanted), Some(shift)) =
            (u128::from_str_radix(digits, 16), u128::BITS.checked_sub(bits))
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (&id, trace) in &mut self.traces {
            if id.checked_shr(shift) == Some(wanted) {
                trace.summary();
                let root = trace.summary.as_ref().and_then(|s| trace.spans.get(s.root));
                found.extend(root.map(|root| (root.start_us, id)));
            }
        }
        self.newest(found, symbols)
    }

    /// The newest lines of a service, oldest first.
    pub(crate) fn logs_of_service(
        &self,
        service: u16,
        most: usize,
        symbols: &Symbols,
    ) -> Vec<LogView> {
        self.newest_logs(symbols, most, |log| log.service == service)
    }
}

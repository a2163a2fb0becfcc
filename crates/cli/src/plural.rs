//! Numbers with their noun.

use std::fmt::Display;

/// `1 raise`, `2 raises`.
pub(crate) fn plural<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let word = if number == N::from(1) { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(plural(0_u64, "process", "processes"), "0 processes");
        assert_eq!(plural(1_usize, "process", "processes"), "1 process");
        assert_eq!(plural(2_u32, "process", "processes"), "2 processes");
    }
}

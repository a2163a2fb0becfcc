//! Long lists, a page at a time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::error::AwsError;

/// Takes one page out of `all`, which is ordered; `key` names an entry for good. The token of the next page comes with it.
pub(crate) fn page<T>(
    all: Vec<T>,
    size: u32,
    token: Option<&str>,
    key: impl Fn(&T) -> &str,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let skip = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            let last = decode(token).ok_or_else(|| invalid(token))?;
            let same = all.iter().position(|entry| key(entry) == last).map(|at| at + 1);
            // When the entry went away meanwhile, go on behind the place where it was.
            same.or_else(|| all.iter().position(|entry| *key(entry) > *last)).unwrap_or(all.len())
        }
    };
    let left = all.len().saturating_sub(skip);
    let shown: Vec<T> = all.into_iter().skip(skip).take(size).collect();
    let next = shown.last().filter(|_| left > size).map(|entry| URL_SAFE_NO_PAD.encode(key(entry)));
    Ok((shown, next))
}

fn decode(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

fn invalid(token: &str) -> AwsError {
    AwsError::new("InvalidNextToken", format!("The token '{token}' is invalid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let all = || vec!["a", "b", "c", "d", "e"];
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (shown, next) = page(all(), 2, token.as_deref(), |entry| entry).unwrap();
            assert!(shown.len() <= 2);
            seen.extend(shown);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all());
    }

    #[test]
    fn goes_on_behind_an_entry_that_went_away() {
        let (_, token) = page(vec!["a", "b", "c"], 2, None, |entry| entry).unwrap();
        assert_eq!(page(vec!["a", "c"], 2, token.as_deref(), |entry| entry).unwrap().0, ["c"]);
    }

    #[test]
    fn a_full_last_page_has_no_successor_and_a_made_up_token_is_refused() {
        assert_eq!(page(vec!["a", "b"], 2, None, |entry| entry).unwrap().1, None);
        assert_eq!(page(vec!["a"], 2, Some("***"), |entry| entry).unwrap_err().code, "InvalidNextToken");
    }
}

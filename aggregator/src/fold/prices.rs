//! List prices, for an estimate while no result has told the amount. An
//! estimate is marked as such wherever it is shown, and a model that is not
//! listed has none. Checked against real result lines: opus-4-5, sonnet-4-5
//! and haiku-4-5 give their amounts digit for digit.

use protocol::Money;
use protocol::build::Tokens;

/// Beginning of the model's name, and US dollars per million tokens: input,
/// output, read from the cache, written to it (kept five minutes). The first
/// that fits counts.
const LIST: [(&str, [&str; 4]); 7] = [
    ("claude-opus-4-5", ["5", "25", "0.5", "6.25"]),
    ("claude-opus-4", ["15", "75", "1.5", "18.75"]),
    ("claude-sonnet-4", ["3", "15", "0.3", "3.75"]),
    ("claude-3-7-sonnet", ["3", "15", "0.3", "3.75"]),
    ("claude-haiku-4-5", ["1", "5", "0.1", "1.25"]),
    ("claude-3-5-haiku", ["0.8", "4", "0.08", "1"]),
    ("claude-3-5-sonnet", ["3", "15", "0.3", "3.75"]),
];

/// What these tokens cost at list price, those of unknown kind left out; nothing for a model that is not listed, or without tokens.
pub(super) fn estimate(model: &str, tokens: &Tokens) -> Option<Money> {
    let (_, prices) = LIST.iter().find(|(name, _)| model.starts_with(name))?;
    let counts = [
        tokens.input,
        tokens.output,
        tokens.cache_read,
        tokens.cache_write,
    ];
    let known = counts.iter().zip(prices).filter_map(|(count, price)| {
        let price: Money = price.parse().ok()?;
        count.map(|count| price.per_million(count))
    });
    let known: Vec<Money> = known.collect();
    (!known.is_empty()).then(|| known.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_prices_give_what_real_result_lines_say() {
        let of = |model, input, output, cache_read, cache_write| {
            let tokens = Tokens {
                input: Some(input),
                output: Some(output),
                cache_read: Some(cache_read),
                cache_write: Some(cache_write),
                unknown_kind: None,
            };
            estimate(model, &tokens).map(|usd| usd.to_string())
        };
        let opus = of("claude-opus-4-5-20251101", 2, 1_832, 214_365, 13_704);
        assert_eq!(opus.as_deref(), Some("0.2386425"));
        let haiku = of("claude-haiku-4-5-20251001", 2_665, 92, 0, 0);
        assert_eq!(haiku.as_deref(), Some("0.003125"));
        let sonnet = of("claude-sonnet-4-5-20250929", 12, 598, 58_582, 9_080);
        assert_eq!(sonnet.as_deref(), Some("0.0606306"));
        assert_eq!(of("some-other-model", 1, 1, 1, 1), None);
    }

    #[test]
    fn without_tokens_there_is_no_estimate() {
        assert_eq!(estimate("claude-sonnet-4-5", &Tokens::default()), None);
    }
}

//! Scalars as people read them, for EXPLAIN.

use crate::datum::NULL;
use crate::plan::scalar::{Comparison, Scalar};

/// A scalar over columns of these names. Constants are datums: a text shows as its code, a decimal unscaled.
pub fn text(scalar: &Scalar, names: &[String]) -> String {
    let one = |scalar: &Scalar| text(scalar, names);
    let pair = |a: &Scalar, word: &str, b: &Scalar| format!("({} {word} {})", one(a), one(b));
    let list = |all: &[Scalar]| all.iter().map(one).collect::<Vec<_>>().join(", ");
    match scalar {
        Scalar::Column(column) => names.get(*column).cloned().unwrap_or_else(|| format!("#{column}")),
        Scalar::Const(NULL) => "NULL".to_owned(),
        Scalar::Const(value) => value.to_string(),
        Scalar::Add(a, b) => pair(a, "+", b),
        Scalar::Subtract(a, b) => pair(a, "-", b),
        Scalar::Multiply(a, b) => pair(a, "×", b),
        Scalar::Negate(a) => format!("-{}", one(a)),
        Scalar::Compare(comparison, a, b) => {
            let word = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "<>",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            pair(a, word, b)
        }
        Scalar::And(a, b) => pair(a, "AND", b),
        Scalar::Or(a, b) => pair(a, "OR", b),
        Scalar::Not(a) => match a.as_ref() {
            Scalar::IsNull(a) => format!("{} IS NOT NULL", one(a)),
            a => format!("NOT {}", one(a)),
        },
        Scalar::IsNull(a) => format!("{} IS NULL", one(a)),
        Scalar::Same(a, b) => pair(a, "IS NOT DISTINCT FROM", b),
        Scalar::In(a, values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("{} IN ({})", one(a), values.join(", "))
        }
        Scalar::Case(branches, otherwise) => {
            let branch = |(condition, value): &(Scalar, Scalar)| {
                format!("WHEN {} THEN {}", one(condition), one(value))
            };
            let branches = branches.iter().map(branch).collect::<Vec<_>>().join(" ");
            format!("CASE {branches} ELSE {} END", one(otherwise))
        }
        Scalar::Coalesce(all) => format!("COALESCE({})", list(all)),
        Scalar::Greatest(all) => format!("GREATEST({})", list(all)),
        Scalar::Least(all) => format!("LEAST({})", list(all)),
        Scalar::RoundProduct(factors, scale) => {
            let factors: Vec<String> = factors.iter().map(|(factor, _)| one(factor)).collect();
            format!("round{scale}({})", factors.join(", "))
        }
        Scalar::RoundQuotient(a, b, scale) => format!("quotient{scale}({}, {})", one(&a.0), one(&b.0)),
    }
}

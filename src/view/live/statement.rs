//! The statements about live views, which no dialect has: told apart by their first words.
//!
//! ```text
//! CREATE LIVE VIEW name AS SELECT …     DROP LIVE VIEW name     SHOW LIVE VIEWS
//! EXPLAIN VIEW name                     SET strategy = auto | factored | partition | recompute
//!                                       SET currency = 'EUR'
//! ```

use sqlparser::ast::{Query, Value};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::Strategy;
use crate::error::{Error, Result};
use crate::limits::QUERY_TEXT_BYTES_MAX;
use crate::table::is_currency_code;

pub(super) enum Statement {
    Create { name: String, query: Box<Query> },
    Drop(String),
    Show,
    Explain(String),
    SetStrategy(Strategy),
    SetCurrency(String),
}

const USE: &str = "write CREATE LIVE VIEW name AS SELECT …, DROP LIVE VIEW name, SHOW LIVE VIEWS, EXPLAIN VIEW \
                   name or SET strategy = auto";

/// # Errors
/// `Invalid` with the code `BAD_QUERY` for what is no such statement.
pub(super) fn parse(text: &str) -> Result<Statement> {
    if text.len() > QUERY_TEXT_BYTES_MAX {
        let message =
            format!("the statement has {} bytes; it must have at most {QUERY_TEXT_BYTES_MAX}", text.len());
        return Err(bad(message));
    }
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(unparsed)?;
    let statement = statement(&mut parser)?;
    let _ = parser.consume_token(&Token::SemiColon);
    if parser.peek_token().token != Token::EOF {
        return Err(bad(format!("{} stands after the statement; send one at a time", parser.peek_token())));
    }
    Ok(statement)
}

fn statement(parser: &mut Parser) -> Result<Statement> {
    if parser.parse_keyword(Keyword::CREATE) {
        live(parser)?;
        word(parser, "VIEW")?;
        let name = name(parser)?;
        if !parser.parse_keyword(Keyword::AS) {
            return Err(bad(format!("a view is a query: CREATE LIVE VIEW {name} AS SELECT …")));
        }
        if !matches!(&parser.peek_token().token, Token::Word(word)
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH))
            && parser.peek_token().token != Token::LParen
        {
            return Err(bad(format!("a view is a SELECT, not {}", parser.peek_token())));
        }
        let query = parser.parse_query().map_err(unparsed)?;
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return Err(bad("a view cannot be recursive; write WITH without RECURSIVE".to_owned()));
        }
        return Ok(Statement::Create { name, query });
    }
    if parser.parse_keyword(Keyword::DROP) {
        live(parser)?;
        word(parser, "VIEW")?;
        return Ok(Statement::Drop(name(parser)?));
    }
    if parser.parse_keyword(Keyword::SHOW) {
        live(parser)?;
        word(parser, "VIEWS")?;
        return Ok(Statement::Show);
    }
    if parser.parse_keyword(Keyword::EXPLAIN) {
        word(parser, "VIEW")?;
        return Ok(Statement::Explain(name(parser)?));
    }
    if parser.parse_keyword(Keyword::SET) {
        let setting = name(parser)?;
        if !parser.consume_token(&Token::Eq) && !parser.parse_keyword(Keyword::TO) {
            return Err(bad(format!("write SET {setting} = value")));
        }
        let token = parser.next_token().token;
        let value = match &token {
            Token::Word(word) => word.value.clone(),
            Token::SingleQuotedString(text) => text.clone(),
            other => Value::Placeholder(other.to_string()).to_string(),
        };
        return match setting.as_str() {
            "strategy" => Strategy::named(&value).map(Statement::SetStrategy).ok_or_else(|| {
                bad(format!("strategy is {value}; it must be auto, factored, partition or recompute"))
            }),
            "currency" if is_currency_code(&value) => Ok(Statement::SetCurrency(value)),
            "currency" => {
                Err(bad(format!("currency is {value}; it must be three letters A-Z, such as 'USD'")))
            }
            other => Err(bad(format!("there is no setting {other}; there are strategy and currency"))),
        };
    }
    Err(bad(format!("{} begins no statement about live views; {USE}", parser.peek_token())))
}

fn live(parser: &mut Parser) -> Result<()> {
    word(parser, "LIVE")
}

fn word(parser: &mut Parser, wanted: &str) -> Result<()> {
    let token = parser.next_token();
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted) => Ok(()),
        _ => Err(bad(format!("{wanted} is missing before {token}; {USE}"))),
    }
}

/// A name as SQL reads it: in lower case unless it is quoted.
fn name(parser: &mut Parser) -> Result<String> {
    let name = parser.parse_identifier().map_err(unparsed)?;
    Ok(if name.quote_style.is_some() { name.value } else { name.value.to_lowercase() })
}

fn unparsed(error: ParserError) -> Error {
    bad(format!("the statement does not parse: {error}"))
}

pub(super) fn bad(message: String) -> Error {
    Error::invalid("BAD_QUERY", message)
}

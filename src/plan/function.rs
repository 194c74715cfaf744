//! The functions that SQL adds for exact money: rounded products and quotients, half to even.
//!
//! `round6(a, b, …)` rounds the exact product of decimals to 6 digits, `quotient12(a, b)` the exact
//! quotient to 12. Intermediate results have 256 bits. They are the same code here and in the tick.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::scalar::scale_of;
use crate::datum::{NULL, round_product, round_quotient};

const PRODUCTS: [(&str, u8); 3] = [("round6", 6), ("round10", 10), ("round12", 12)];
const QUOTIENTS: [(&str, u8); 2] = [("quotient10", 10), ("quotient12", 12)];

/// The scale a product function rounds to; `None` for another function.
pub fn product_scale(name: &str) -> Option<u8> {
    PRODUCTS.iter().find(|(known, _)| *known == name).map(|(_, scale)| *scale)
}

/// The scale a quotient function rounds to; `None` for another function.
pub fn quotient_scale(name: &str) -> Option<u8> {
    QUOTIENTS.iter().find(|(known, _)| *known == name).map(|(_, scale)| *scale)
}

/// All of them, to be registered with DataFusion.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let products = PRODUCTS.iter().map(|&(name, scale)| (name, scale, true));
    let quotients = QUOTIENTS.iter().map(|&(name, scale)| (name, scale, false));
    products
        .chain(quotients)
        .map(|(name, scale, product)| Arc::new(Rounded::new(name, scale, product).into()))
        .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    name: &'static str,
    scale: u8,
    operation: Operation,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Product,
    Quotient,
}

impl Rounded {
    fn new(name: &'static str, scale: u8, product: bool) -> Rounded {
        let operation = if product { Operation::Product } else { Operation::Quotient };
        Rounded { name, scale, operation, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let numbers = arguments.iter().all(|argument| scale_of(argument).is_some());
        match self.operation {
            Operation::Quotient if arguments.len() != 2 => exec_err!("{} takes two numbers", self.name),
            _ if !numbers => exec_err!("{} takes decimals and integers, not {arguments:?}", self.name),
            _ => Ok(DataType::Decimal128(38, self.scale as i8)),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = arguments
            .args
            .into_iter()
            .map(|value| Numbers::new(&value.into_array(rows)?))
            .collect::<Result<Vec<_>>>()?;
        let mut factors = vec![(0, 0); columns.len()];
        let values = (0..rows).map(|row| {
            for (factor, column) in factors.iter_mut().zip(&columns) {
                *factor = (column.get(row), column.scale);
            }
            if factors.iter().any(|factor| factor.0 == NULL) {
                return None;
            }
            match self.operation {
                Operation::Product => round_product(&factors, self.scale),
                Operation::Quotient => round_quotient(factors[0], factors[1], self.scale),
            }
        });
        let result: Decimal128Array = values.collect();
        Ok(ColumnarValue::Array(Arc::new(result.with_precision_and_scale(38, self.scale as i8)?)))
    }
}

/// A column of decimals or integers.
struct Numbers {
    values: Values,
    scale: u8,
}

enum Values {
    Decimals(Decimal128Array),
    Integers(Int64Array),
}

impl Numbers {
    fn new(array: &ArrayRef) -> Result<Numbers> {
        let Some(scale) = scale_of(array.data_type()) else {
            return exec_err!("not a number: {}", array.data_type());
        };
        let values = match array.data_type() {
            DataType::Decimal128(..) => Values::Decimals(array.as_primitive::<Decimal128Type>().clone()),
            _ => {
                let integers = datafusion::arrow::compute::cast(array, &DataType::Int64)?;
                Values::Integers(integers.as_primitive::<Int64Type>().clone())
            }
        };
        Ok(Numbers { values, scale })
    }

    fn get(&self, row: usize) -> i128 {
        match &self.values {
            Values::Decimals(values) if values.is_valid(row) => values.value(row),
            Values::Integers(values) if values.is_valid(row) => values.value(row).into(),
            _ => NULL,
        }
    }
}

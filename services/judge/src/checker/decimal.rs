//! Exact decimal arithmetic, for tolerance checks that floating point cannot decide.

use std::cmp::Ordering;

/// `± digits × 10^exponent`, without leading and trailing zeros; zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// Numbers that are this many powers of ten apart are compared by magnitude only.
const MAX_SPAN: i64 = 1 << 17;

impl Decimal {
    /// Parses a token for which `number::is_decimal` is true.
    pub(super) fn parse(token: &[u8]) -> Decimal {
        let negative = token.first() == Some(&b'-');
        let mark = token.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = token.split_at(mark.unwrap_or(token.len()));
        let point = mantissa.iter().position(|&byte| byte == b'.');
        let fraction = point.map_or(0, |point| mantissa.len() - point - 1);
        let digits = mantissa.iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
        let exponent = parse_exponent(exponent) - fraction as i64;
        Decimal { negative, digits, exponent }.normalized()
    }

    fn normalized(mut self) -> Decimal {
        let zeros = self.digits.iter().rev().take_while(|&&digit| digit == 0).count();
        self.digits.truncate(self.digits.len() - zeros);
        self.exponent = self.exponent.saturating_add(zeros as i64);
        let zeros = self.digits.iter().take_while(|&&digit| digit == 0).count();
        self.digits.drain(..zeros);
        if self.digits.is_empty() {
            return Decimal { negative: false, digits: Vec::new(), exponent: 0 };
        }
        self
    }

    /// The absolute value of the product.
    pub(super) fn times(&self, other: &Decimal) -> Decimal {
        let mut cells = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate().rev() {
            let mut carry = 0;
            for (j, &b) in other.digits.iter().enumerate().rev() {
                let cell = cells[i + j + 1] + u32::from(a) * u32::from(b) + carry;
                cells[i + j + 1] = cell % 10;
                carry = cell / 10;
            }
            cells[i] += carry;
        }
        let digits = cells.into_iter().map(|cell| cell as u8).collect();
        let exponent = self.exponent.saturating_add(other.exponent);
        Decimal { negative: false, digits, exponent }.normalized()
    }

    /// Whether `|self - other| <= bound`. The bound must not be negative.
    pub(super) fn is_within(&self, bound: &Decimal, other: &Decimal) -> bool {
        if self.digits.is_empty() || other.digits.is_empty() {
            let rest = if self.digits.is_empty() { other } else { self };
            return rest.compare_absolute(bound) != Ordering::Greater;
        }
        let (a, b) = (self.magnitude(), other.magnitude());
        let (low, high) = (self.exponent.min(other.exponent), a.max(b));
        if high.saturating_sub(low) > MAX_SPAN {
            // The smaller number is negligible.
            let larger = if a >= b { self } else { other };
            return larger.compare_absolute(bound) != Ordering::Greater;
        }
        self.minus(other, low, high).compare_absolute(bound) != Ordering::Greater
    }

    /// The exponent of the smallest power of ten greater than the absolute value.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(self.digits.len() as i64)
    }

    /// The absolute value of the difference, computed on digits from 10^low to 10^high.
    fn minus(&self, other: &Decimal, low: i64, high: i64) -> Decimal {
        let cells = usize::try_from(high - low).unwrap_or(0) + 1;
        let mut grid = vec![0i32; cells];
        let mut add = |number: &Decimal, sign: i32| {
            let sign = if number.negative { -sign } else { sign };
            for (i, &digit) in number.digits.iter().rev().enumerate() {
                let place = usize::try_from(number.exponent - low).unwrap_or(0) + i;
                grid[place] += sign * i32::from(digit);
            }
        };
        add(self, 1);
        add(other, -1);
        if grid.iter().rev().find(|&&cell| cell != 0).is_some_and(|&cell| cell < 0) {
            grid.iter_mut().for_each(|cell| *cell = -*cell);
        }
        let mut carry = 0;
        for cell in &mut grid {
            let value = *cell + carry;
            *cell = value.rem_euclid(10);
            carry = value.div_euclid(10);
        }
        let digits = grid.into_iter().rev().map(|cell| cell as u8).collect();
        Decimal { negative: false, digits, exponent: low }.normalized()
    }

    fn compare_absolute(&self, other: &Decimal) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        // Normalised digits compare lexicographically.
        self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn parse_exponent(text: &[u8]) -> i64 {
    let text = text.get(1..).unwrap_or_default();
    let negative = text.first() == Some(&b'-');
    let mut value = 0i64;
    for digit in text.iter().filter(|byte| byte.is_ascii_digit()) {
        // Clamped so that sums cannot overflow.
        value = (value * 10 + i64::from(digit - b'0')).min(i64::MAX / 32);
    }
    if negative { -value } else { value }
}

//! Business days: Monday to Friday, without holidays. Days are counted since 1970-01-01, a Thursday.

fn is_weekend(day: i32) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

pub(super) fn weekday_after(day: i32) -> i32 {
    let mut next = day + 1;
    while is_weekend(next) {
        next += 1;
    }
    next
}

pub(super) fn weekday_before(day: i32) -> i32 {
    let mut previous = day - 1;
    while is_weekend(previous) {
        previous -= 1;
    }
    previous
}

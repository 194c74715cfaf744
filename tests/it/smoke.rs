use crate::desk::Desk;
use tickview::view::recompute::Oracle;
use tickview::view::spec::ViewSpec;

#[test]
fn oracle() {
    let mut desk = Desk::new();
    desk.tick(1_767_225_600_000_000, r#"
base.instrument "AAA" {"symbol":"AAA","name":"A","assetClass":"EQUITY","sector":"Tech","currency":"USD","version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.instrument "BBB1" {"symbol":"BBB","name":"B","assetClass":"EQUITY","sector":"Energy","currency":"GBP","priceScale":0.01,"version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.sod-holding {"businessDate":"2026-01-01","accountId":"A1","instrumentId":"AAA"} {"quantity":"100","sodPrice":9,"version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.sod-holding {"businessDate":"2026-01-01","accountId":"A1","instrumentId":"BBB1"} {"quantity":"-10","sodPrice":9,"version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.order-events "O1" {"businessDate":"2026-01-01","accountId":"A1","instrumentId":"AAA","side":"BUY","orderQty":50,"cumQty":10,"dayCumQty":10,"dayAvgPx":11,"status":"PARTIALLY_FILLED","orderType":"MARKET","version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.price "AAA" {"price":"10.5","currency":"USD","priceType":"LAST","priceTime":"2026-01-01T00:00:00Z","version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.price "BBB1" {"price":"200","currency":"GBP","priceType":"LAST","priceTime":"2026-01-01T00:00:00Z","version":1,"eventTime":"2026-01-01T00:00:00Z"}
base.fx-rate {"fromCurrency":"GBP","toCurrency":"USD","rateType":"LIVE"} {"rate":"1.25","rateTime":"2026-01-01T00:00:00Z","version":1,"eventTime":"2026-01-01T00:00:00Z"}
"#);
    let mut oracle = Oracle::new(desk.engine.schema(), 1);
    let mut spec = ViewSpec::new("account_overview");
    spec.group_by = vec!["sector".into(), "long_short".into()];
    for n in 0..3 {
        let start = std::time::Instant::now();
        let levels = oracle.recompute(desk.engine.snapshot(), &spec).unwrap();
        println!("{:?}", start.elapsed());
        if n == 0 { println!("{levels:?}"); }
    }
}

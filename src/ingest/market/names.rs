//! The words the invented firms, funds, accounts and traders are named with. No arithmetic here.

pub(super) const SECTORS: [(&str, [&str; 3], [&str; 4]); 11] = [
    (
        "Energy",
        ["Oil, Gas & Consumable Fuels", "Energy Equipment & Services", "Renewable Fuels"],
        ["Energy", "Petroleum", "Drilling", "Fuels"],
    ),
    (
        "Materials",
        ["Chemicals", "Metals & Mining", "Construction Materials"],
        ["Chemicals", "Mining", "Metals", "Minerals"],
    ),
    (
        "Industrials",
        ["Machinery", "Aerospace & Defense", "Ground Transportation"],
        ["Engineering", "Industries", "Logistics", "Aerospace"],
    ),
    (
        "Consumer Discretionary",
        ["Specialty Retail", "Automobile Components", "Hotels, Restaurants & Leisure"],
        ["Motors", "Hotels", "Outfitters", "Leisure"],
    ),
    (
        "Consumer Staples",
        ["Food Products", "Beverages", "Household Products"],
        ["Foods", "Brewing", "Provisions", "Household"],
    ),
    (
        "Health Care",
        ["Pharmaceuticals", "Biotechnology", "Health Care Equipment & Supplies"],
        ["Pharma", "Biologics", "Medical", "Diagnostics"],
    ),
    ("Financials", ["Banks", "Insurance", "Capital Markets"], ["Bank", "Insurance", "Capital", "Financial"]),
    (
        "Information Technology",
        ["Software", "Semiconductors & Semiconductor Equipment", "IT Services"],
        ["Software", "Semiconductor", "Systems", "Data"],
    ),
    (
        "Communication Services",
        ["Media", "Diversified Telecommunication Services", "Entertainment"],
        ["Media", "Telecom", "Broadcasting", "Networks"],
    ),
    (
        "Utilities",
        ["Electric Utilities", "Water Utilities", "Gas Utilities"],
        ["Power", "Water", "Grid", "Gas"],
    ),
    (
        "Real Estate",
        ["Office REITs", "Industrial REITs", "Residential REITs"],
        ["Properties", "Estates", "Land", "Warehouses"],
    ),
];

pub(super) const FIRST_WORDS: [&str; 56] = [
    "Harrow",
    "Aldermoor",
    "Brackwell",
    "Cindervale",
    "Dunmarsh",
    "Eastholme",
    "Fallowmere",
    "Garrick",
    "Hexworth",
    "Inverdale",
    "Juniper",
    "Kestrel",
    "Larkspur",
    "Marlowe",
    "Netherby",
    "Oakhanger",
    "Penhallow",
    "Quillon",
    "Ravensmoor",
    "Stellan",
    "Thornbury",
    "Umberfield",
    "Velmont",
    "Wexcombe",
    "Yarrow",
    "Zephyrine",
    "Ashgrove",
    "Belhaven",
    "Corvane",
    "Drayton",
    "Elmsworth",
    "Fenwick",
    "Glasmere",
    "Halden",
    "Ironbridge",
    "Jasperine",
    "Kilbrack",
    "Lindqvale",
    "Montrose",
    "Norrbeck",
    "Orsova",
    "Pinecrest",
    "Quenby",
    "Rosvale",
    "Solberg",
    "Tamarind",
    "Ulverton",
    "Vantry",
    "Westmark",
    "Ystrad",
    "Amberline",
    "Bexhall",
    "Calloway",
    "Dovrefell",
    "Estrela",
    "Fjordane",
];

pub(super) const SECOND_WORDS: [&str; 24] = [
    "Vale", "Ridge", "Harbour", "Cross", "Stone", "Field", "Brook", "Point", "Gate", "Hill", "Shore", "Wood",
    "Bay", "Ford", "Peak", "Moor", "Haven", "Reach", "Glen", "Crest", "Lake", "Bridge", "Down", "March",
];

/// Country, its currency, whether shares are quoted in pence, the venue, and how many firms in a hundred.
pub(super) const COUNTRIES: [(&str, &str, bool, &str, u32); 20] = [
    ("US", "USD", false, "XNYS", 36),
    ("GB", "GBP", true, "XLON", 12),
    ("DE", "EUR", false, "XETR", 6),
    ("FR", "EUR", false, "XPAR", 6),
    ("NL", "EUR", false, "XAMS", 3),
    ("IT", "EUR", false, "XMIL", 2),
    ("ES", "EUR", false, "XMAD", 2),
    ("IE", "EUR", false, "XDUB", 1),
    ("BE", "EUR", false, "XBRU", 1),
    ("FI", "EUR", false, "XHEL", 1),
    ("CH", "CHF", false, "XSWX", 4),
    ("JP", "JPY", false, "XTKS", 9),
    ("CA", "CAD", false, "XTSE", 4),
    ("AU", "AUD", false, "XASX", 3),
    ("HK", "HKD", false, "XHKG", 2),
    ("CN", "HKD", false, "XHKG", 2),
    ("SE", "SEK", false, "XSTO", 2),
    ("SG", "SGD", false, "XSES", 1),
    ("KR", "USD", false, "XNYS", 2),
    ("BR", "USD", false, "XNYS", 1),
];

/// Where a firm is registered when not where its business is.
pub(super) const DOMICILES: [&str; 5] = ["IE", "LU", "NL", "KY", "BM"];

/// Name, country and currency of issuers of government bonds.
pub(super) const GOVERNMENTS: [(&str, &str, &str); 8] = [
    ("US Treasury", "US", "USD"),
    ("UK Gilt", "GB", "GBP"),
    ("German Bund", "DE", "EUR"),
    ("French OAT", "FR", "EUR"),
    ("Japan Government", "JP", "JPY"),
    ("Canada Government", "CA", "CAD"),
    ("Australia Government", "AU", "AUD"),
    ("Swiss Confederation", "CH", "CHF"),
];

/// Name, root of the symbol, country, currency, tick in 1e-8, price in ticks, and multiplier of futures.
pub(super) const FUTURES: [(&str, &str, &str, &str, i64, i64, i64); 14] = [
    ("US Large Cap Index", "LC", "US", "USD", 25_000_000, 23_368, 50),
    ("US Technology Index", "TC", "US", "USD", 25_000_000, 81_640, 20),
    ("US Small Cap Index", "SC", "US", "USD", 10_000_000, 22_650, 50),
    ("Euro Blue Chip Index", "EB", "DE", "EUR", 100_000_000, 4_985, 10),
    ("UK 100 Index", "UK", "GB", "GBP", 50_000_000, 16_428, 10),
    ("Japan 225 Index", "JN", "JP", "JPY", 1_000_000_000, 3_896, 1_000),
    ("Hong Kong Index", "HK", "HK", "HKD", 100_000_000, 20_560, 50),
    ("US 10Y Note", "TN", "US", "USD", 1_562_500, 7_072, 1_000),
    ("US 2Y Note", "TT", "US", "USD", 390_625, 26_400, 2_000),
    ("Euro 10Y Bond", "FB", "DE", "EUR", 1_000_000, 13_244, 1_000),
    ("Light Crude Oil", "CR", "US", "USD", 1_000_000, 7_135, 1_000),
    ("Gold", "GO", "US", "USD", 10_000_000, 26_843, 100),
    ("Natural Gas", "NG", "US", "USD", 100_000, 2_854, 10_000),
    ("Copper", "CP", "US", "USD", 50_000, 8_630, 25_000),
];

/// Letters that stand for the months of a future, January first, with the months' names.
pub(super) const MONTHS: [(&str, &str); 12] = [
    ("F", "Jan"),
    ("G", "Feb"),
    ("H", "Mar"),
    ("J", "Apr"),
    ("K", "May"),
    ("M", "Jun"),
    ("N", "Jul"),
    ("Q", "Aug"),
    ("U", "Sep"),
    ("V", "Oct"),
    ("X", "Nov"),
    ("Z", "Dec"),
];

pub(super) const FUND_HOUSES: [&str; 10] = [
    "Halcyon Wharf",
    "Northlight",
    "Castlereach",
    "Meridian Quay",
    "Sable Point",
    "Cobalt Lane",
    "Greyfriars Row",
    "Alder & Finch",
    "Tidewater Park",
    "Saxon Gate",
];

pub(super) const FUND_KINDS: [&str; 12] = [
    "Global Bond Fund",
    "Emerging Markets Fund",
    "Euro Liquidity Fund",
    "Small Companies Fund",
    "Infrastructure Fund",
    "High Yield Fund",
    "World Index Fund",
    "Asia Dividend Fund",
    "Absolute Return Fund",
    "Inflation Linked Fund",
    "Sustainable Leaders Fund",
    "Short Duration Fund",
];

pub(super) const CLIENTS: [&str; 40] = [
    "Ardmore Teachers",
    "Bellhurst Foundation",
    "Cresswell Family",
    "Danforth Municipal",
    "Eskdale Mariners",
    "Farrington University",
    "Gresford Railway",
    "Holloway Trust",
    "Inchcape Firefighters",
    "Jessamy Endowment",
    "Kirkwall Insurance",
    "Lorimer Hospitals",
    "Midvale State",
    "Northam Reinsurance",
    "Ollerton Staff",
    "Pembury Sovereign",
    "Quarry Bank",
    "Rivington Miners",
    "Silverdale Police",
    "Tarrant County",
    "Ullswater Charities",
    "Vauxmoor Captive",
    "Whitcombe Heritage",
    "Yelverton Postal",
    "Abingdale Dairy",
    "Brinkworth Nurses",
    "Colnbrook Transit",
    "Dellwood Judges",
    "Ellingham Estate",
    "Frostenden Shipping",
    "Grantley Engineers",
    "Hartsmere Life",
    "Islington Mutual",
    "Kenwick Pilots",
    "Langstone Harbour",
    "Morland Orchard",
    "Newlyn Fisheries",
    "Oxenholme Steel",
    "Prestwick Airways",
    "Rushbrooke Mutual",
];

pub(super) const VEHICLES: [&str; 6] = ["Pension", "Growth", "Income", "Reserve", "Opportunities", "Master"];

/// Strategy with the hundredths of its positions in equities, bonds, funds, options and futures, and
/// every how many positions one is short (0: none).
pub(super) const STRATEGIES: [(&str, [u32; 5], usize); 6] = [
    ("Global Equity", [88, 0, 4, 5, 3], 0),
    ("Equity Long/Short", [82, 0, 0, 15, 3], 3),
    ("Fixed Income", [4, 86, 6, 0, 4], 24),
    ("Multi-Asset", [48, 36, 9, 4, 3], 20),
    ("Global Macro", [42, 32, 2, 16, 8], 5),
    ("Systematic", [78, 6, 0, 12, 4], 4),
];

pub(super) const REGIONS: [(&str, &[&str]); 4] = [
    ("North America", &["USD", "USD", "USD", "CAD"]),
    ("Europe", &["EUR", "EUR", "CHF", "SEK"]),
    ("United Kingdom", &["GBP"]),
    ("Asia Pacific", &["JPY", "AUD", "HKD", "USD"]),
];

pub(super) const BENCHMARKS: [&str; 5] =
    ["GLOBAL-EQ", "GLOBAL-AGG", "BALANCED-60-40", "CASH-PLUS-300", "EUROPE-EQ"];

pub(super) const TRADERS: [&str; 18] = [
    "A. Castellane",
    "B. Whitlock",
    "C. Nakagawa",
    "D. Oyelaran",
    "E. Lindqvist",
    "F. Moreau",
    "G. Haverford",
    "H. Tanaka",
    "I. Petrov",
    "J. Ashdown",
    "K. Villiers",
    "L. Okonjo",
    "M. Farrow",
    "N. Brandt",
    "O. Delacroix",
    "P. Renshaw",
    "R. Iyer",
    "S. Kowalczyk",
];

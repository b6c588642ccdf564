//! ISO 3166-1 as of 2024: alpha-3 and numeric codes.

pub(crate) struct Country {
    pub(crate) alpha3: &'static str,
    pub(crate) numeric: u16,
}

pub(crate) fn by_alpha3(code: &str) -> Option<&'static Country> {
    COUNTRIES.binary_search_by(|country| country.alpha3.cmp(code)).ok().map(|index| &COUNTRIES[index])
}

pub(crate) fn has_numeric(numeric: u16) -> bool {
    COUNTRIES.iter().any(|country| country.numeric == numeric)
}

const fn c(alpha3: &'static str, numeric: u16) -> Country {
    Country { alpha3, numeric }
}

/// Sorted by alpha-3 code; the look-up depends on it.
#[rustfmt::skip]
const COUNTRIES: &[Country] = &[
    c("ABW", 533), c("AFG", 4), c("AGO", 24), c("AIA", 660), c("ALA", 248), c("ALB", 8), c("AND", 20), c("ARE", 784),
    c("ARG", 32), c("ARM", 51), c("ASM", 16), c("ATA", 10), c("ATF", 260), c("ATG", 28), c("AUS", 36), c("AUT", 40),
    c("AZE", 31), c("BDI", 108), c("BEL", 56), c("BEN", 204), c("BES", 535), c("BFA", 854), c("BGD", 50),
    c("BGR", 100), c("BHR", 48), c("BHS", 44), c("BIH", 70), c("BLM", 652), c("BLR", 112), c("BLZ", 84), c("BMU", 60),
    c("BOL", 68), c("BRA", 76), c("BRB", 52), c("BRN", 96), c("BTN", 64), c("BVT", 74), c("BWA", 72), c("CAF", 140),
    c("CAN", 124), c("CCK", 166), c("CHE", 756), c("CHL", 152), c("CHN", 156), c("CIV", 384), c("CMR", 120),
    c("COD", 180), c("COG", 178), c("COK", 184), c("COL", 170), c("COM", 174), c("CPV", 132), c("CRI", 188),
    c("CUB", 192), c("CUW", 531), c("CXR", 162), c("CYM", 136), c("CYP", 196), c("CZE", 203), c("DEU", 276),
    c("DJI", 262), c("DMA", 212), c("DNK", 208), c("DOM", 214), c("DZA", 12), c("ECU", 218), c("EGY", 818),
    c("ERI", 232), c("ESH", 732), c("ESP", 724), c("EST", 233), c("ETH", 231), c("FIN", 246), c("FJI", 242),
    c("FLK", 238), c("FRA", 250), c("FRO", 234), c("FSM", 583), c("GAB", 266), c("GBR", 826), c("GEO", 268),
    c("GGY", 831), c("GHA", 288), c("GIB", 292), c("GIN", 324), c("GLP", 312), c("GMB", 270), c("GNB", 624),
    c("GNQ", 226), c("GRC", 300), c("GRD", 308), c("GRL", 304), c("GTM", 320), c("GUF", 254), c("GUM", 316),
    c("GUY", 328), c("HKG", 344), c("HMD", 334), c("HND", 340), c("HRV", 191), c("HTI", 332), c("HUN", 348),
    c("IDN", 360), c("IMN", 833), c("IND", 356), c("IOT", 86), c("IRL", 372), c("IRN", 364), c("IRQ", 368),
    c("ISL", 352), c("ISR", 376), c("ITA", 380), c("JAM", 388), c("JEY", 832), c("JOR", 400), c("JPN", 392),
    c("KAZ", 398), c("KEN", 404), c("KGZ", 417), c("KHM", 116), c("KIR", 296), c("KNA", 659), c("KOR", 410),
    c("KWT", 414), c("LAO", 418), c("LBN", 422), c("LBR", 430), c("LBY", 434), c("LCA", 662), c("LIE", 438),
    c("LKA", 144), c("LSO", 426), c("LTU", 440), c("LUX", 442), c("LVA", 428), c("MAC", 446), c("MAF", 663),
    c("MAR", 504), c("MCO", 492), c("MDA", 498), c("MDG", 450), c("MDV", 462), c("MEX", 484), c("MHL", 584),
    c("MKD", 807), c("MLI", 466), c("MLT", 470), c("MMR", 104), c("MNE", 499), c("MNG", 496), c("MNP", 580),
    c("MOZ", 508), c("MRT", 478), c("MSR", 500), c("MTQ", 474), c("MUS", 480), c("MWI", 454), c("MYS", 458),
    c("MYT", 175), c("NAM", 516), c("NCL", 540), c("NER", 562), c("NFK", 574), c("NGA", 566), c("NIC", 558),
    c("NIU", 570), c("NLD", 528), c("NOR", 578), c("NPL", 524), c("NRU", 520), c("NZL", 554), c("OMN", 512),
    c("PAK", 586), c("PAN", 591), c("PCN", 612), c("PER", 604), c("PHL", 608), c("PLW", 585), c("PNG", 598),
    c("POL", 616), c("PRI", 630), c("PRK", 408), c("PRT", 620), c("PRY", 600), c("PSE", 275), c("PYF", 258),
    c("QAT", 634), c("REU", 638), c("ROU", 642), c("RUS", 643), c("RWA", 646), c("SAU", 682), c("SDN", 729),
    c("SEN", 686), c("SGP", 702), c("SGS", 239), c("SHN", 654), c("SJM", 744), c("SLB", 90), c("SLE", 694),
    c("SLV", 222), c("SMR", 674), c("SOM", 706), c("SPM", 666), c("SRB", 688), c("SSD", 728), c("STP", 678),
    c("SUR", 740), c("SVK", 703), c("SVN", 705), c("SWE", 752), c("SWZ", 748), c("SXM", 534), c("SYC", 690),
    c("SYR", 760), c("TCA", 796), c("TCD", 148), c("TGO", 768), c("THA", 764), c("TJK", 762), c("TKL", 772),
    c("TKM", 795), c("TLS", 626), c("TON", 776), c("TTO", 780), c("TUN", 788), c("TUR", 792), c("TUV", 798),
    c("TWN", 158), c("TZA", 834), c("UGA", 800), c("UKR", 804), c("UMI", 581), c("URY", 858), c("USA", 840),
    c("UZB", 860), c("VAT", 336), c("VCT", 670), c("VEN", 862), c("VGB", 92), c("VIR", 850), c("VNM", 704),
    c("VUT", 548), c("WLF", 876), c("WSM", 882), c("YEM", 887), c("ZAF", 710), c("ZMB", 894), c("ZWE", 716),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(COUNTRIES.is_sorted_by(|a, b| a.alpha3 < b.alpha3));
        assert_eq!(COUNTRIES.len(), 249);
        assert_eq!(by_alpha3("CHN").map(|country| country.numeric), Some(156));
        assert!(by_alpha3("XXX").is_none() && by_alpha3("chn").is_none());
    }
}

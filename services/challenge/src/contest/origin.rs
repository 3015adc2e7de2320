//! Where participants come from: organization, country and group. Pure.

/// The longest organization, in characters.
const MAX_ORGANIZATION: usize = 100;
/// The longest group, in characters.
const MAX_GROUP: usize = 60;

/// All officially assigned ISO 3166-1 alpha-3 codes, sorted.
const COUNTRIES: &str = "\
ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM \
BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR \
CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB \
GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA \
JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA \
MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR \
NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS \
SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON \
TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE";

/// Each may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub organization: String,
    pub country: String,
    pub group: String,
}

impl Origin {
    /// The error is the first invalid field, and what would be right.
    pub fn new(
        organization: &str,
        country: &str,
        group: &str,
    ) -> Result<Self, (&'static str, String)> {
        let (organization, group) = (organization.trim(), group.trim());
        let line = |field, text: &str, max| {
            text::check_line(text, max).map_err(|refusal| (field, refusal.to_string()))
        };
        line("organization", organization, MAX_ORGANIZATION)?;
        line("group", group, MAX_GROUP)?;
        if !is_country(country) {
            let text = "must be an ISO 3166-1 alpha-3 code in upper case, such as NZL, or empty";
            return Err(("country", text.to_owned()));
        }
        let (organization, country, group) =
            (organization.to_owned(), country.to_owned(), group.to_owned());
        Ok(Self { organization, country, group })
    }
}

/// Whether a text is empty or a code.
fn is_country(code: &str) -> bool {
    code.is_empty() || (code.len() == 3 && COUNTRIES.split(' ').any(|known| known == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_assigned_codes() {
        let all: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(all.len(), 249);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        for good in ["", "DEU", "NZL", "ZWE"] {
            assert!(is_country(good), "{good}");
        }
        for bad in ["deu", "DE", "XXX", "W E", "ABWA", " "] {
            assert!(!is_country(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_first_invalid_field_is_named() {
        let field = |organization: &str, country: &str, group: &str| {
            Origin::new(organization, country, group).map_err(|(field, _)| field)
        };
        let origin = field(" ETH ", "CHE", "").unwrap();
        assert_eq!((origin.organization.as_str(), origin.country.as_str()), ("ETH", "CHE"));
        assert_eq!(field("a\nb", "", ""), Err("organization"));
        assert_eq!(field("", "CH", ""), Err("country"));
        assert_eq!(field("", "", &"x".repeat(61)), Err("group"));
    }
}

//! Names that look like those of the people who run the installation.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Roles and offices.
const ROLES: &str = "admin administrator agon api help helpdesk judge jury mod moderator noreply \
    official operator organiser organizer owner postmaster root security setter staff superuser \
    support sysadmin sysop system webmaster www";
/// Words that leave a role what it is.
const QUALIFIERS: &str = "account bot chief contest head official problem s service team the";

static ROLE_SKELETONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| skeletons(ROLES));
static QUALIFIER_SKELETONS: LazyLock<BTreeSet<String>> = LazyLock::new(|| skeletons(QUALIFIERS));

fn skeletons(words: &str) -> BTreeSet<String> {
    words.split(' ').map(text::skeleton).collect()
}

/// Whether a name consists of a role and nothing else that tells it apart. Separators, final digits
/// and look-alike letters are ignored: `Agon_Support`, `adm1n-2` and `r00t` are roles, `root-beer`
/// is not.
pub fn claims_role(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let stem = plain.trim_end_matches(|c: char| c.is_numeric());
    consists_of_roles(&text::skeleton(stem), false)
}

fn consists_of_roles(rest: &str, found: bool) -> bool {
    if rest.is_empty() {
        return found;
    }
    let starts = |words: &BTreeSet<String>, found| {
        let mut rests = words.iter().filter_map(|word| rest.strip_prefix(word.as_str()));
        rests.any(|rest| consists_of_roles(rest, found))
    };
    starts(&ROLE_SKELETONS, true) || starts(&QUALIFIER_SKELETONS, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_are_recognised() {
        for name in [
            "administrator",
            "Moderator",
            "support",
            "root",
            "SYSTEM",
            "staff",
            "agon",
            "judge",
            "adm1n",
            "r00t",
            "m0derator",
            "rnoderator",
            "Ag0n-Supp0rt",
            "Agon_official",
            "admins",
            "the-admin",
            "admin-2",
            "support24",
            "s.t.a.f.f",
            "Аdmіnіstrator",
            "Agon Team",
            "contest-judge",
            "problem_setter",
            "no-reply",
            "Ａｄｍｉｎ",
        ] {
            assert!(claims_role(name), "{name}");
        }
        for name in [
            "ada",
            "root-beer",
            "joe root",
            "modulo",
            "systemic",
            "judge-judy",
            "supporter",
            "team",
            "the-bot",
            "agonist",
            "",
            "123",
            "王小明",
        ] {
            assert!(!claims_role(name), "{name}");
        }
    }
}

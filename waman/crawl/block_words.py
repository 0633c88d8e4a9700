"""Words that tell what a part of a page is for: in its class and id, and in its short lines."""

import string
from collections.abc import Mapping
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from waman.crawl import word_kernels as kernels
from waman.crawl.page_kernels import Points

Integers = NDArray[np.int64]

# In each group: words of class names and ids. With a star, the word may be part of a longer one.
_CLASSES = {
    "comments": "comment* kommentar* respond reply replies discussion* disqus trackback* pingback* guestbook feedback"
    " reviews ratings commentlist",
    "sidebar": "sidebar* sidecol* widget* aside rail rightcol* leftcol* rightcolumn leftcolumn secondary tertiary side"
    " marginal* randspalte complementary",
    "footer": "footer* foot copyright* legal imprint impressum colophon disclaimer bottom contentinfo",
    "navigation": "nav navi navbar* navigation* menu* breadcrumb* crumbs pagination* pager paging toolbar* tabs skip"
    " jump toc sitemap topbar topnav subnav"
    " quick* lang* translations index",
    "header": "masthead* header logo branding slogan tagline top banner",
    "share": "share* sharing* sharedaddy social* facebook twitter bookmark* addtoany addthis whatsapp pinterest follow"
    " like likes teilen instagram",
    "related": "related* relat recommend* recommended similar popular trending recent latest further more"
    " readmore archive archives teaser* carousel* slider* crosslink* most mehr weitere auch inhalte listing"
    " promo* next previous",
    "advertisement": "ad ads adv advert* adsense* sponsor* promotion banner* outbrain taboola commercial affiliate*"
    " product* shop cart price* donat* donate amazon werbung anzeige* adslot",
    "subscription": "newsletter* subscri* subscribe* subscription* paywall* signup mailchimp optin abo rss feed",
    "consent": "cookie* consent* gdpr* privacy overlay* modal* popup* lightbox dialog notice alert warning",
    "byline": "byline* author* autor vcard avatar* bio profile*",
    "date": "date datetime time posted published timestamp* datum dateline day month",
    "tags": "tags tag taglist categories category cat meta metadata* postmeta postmetadata entrymeta utility info"
    " infos labels topics keywords",
    "form": "form forms search* login* signin user account contact button* btn poll vote quiz input submit",
    "hidden": "hidden* hide invisible reader sr visually noprint collapse* offscreen",
    "caption": "caption* gallery* figure image* img photo* picture media embed* credit* thumb* thumbnail* video* bild*",
    "title": "title headline* heading* subtitle subheadline hed",
    "summary": "intro* lead lede summary excerpt* abstract description dek kicker standfirst vorspann anreisser",
    "content": "content* entry* article* post story main text body single page beitrag artikel",
    "body": "entrycontent postcontent articlebody postbody entrybody maincontent storybody articlecontent entrytext"
    " posttext articletext bodytext contentbody markdownbody postentry richtext copytext textbody contenttext"
    " storycontent pagecontent newscontent blogcontent tdpostcontent",
}
CLASS_GROUPS = tuple(_CLASSES)

# In each group: whole words of lines that are no part of a text, lower case.
_TEXTS = {
    "copyright": "© copyright rights reserved vorbehalten lizenz license licensed creative commons powered theme"
    " wordpress proudly impressum imprint disclaimer",
    "comments": "comment comments kommentar kommentare kommentieren reply antworten antwort leave hinterlasse"
    " schreibe commentaire commentaires comentario comentarios commenti reacties trackback trackbacks"
    " pingback pingbacks responses says sagt meinte 댓글 답글",
    "share": "share teilen facebook twitter whatsapp pinterest tweet linkedin instagram xing telegram reddit"
    " partager compartir flattr print drucken gefällt like follow folgen 공유",
    "related": "related ähnliche verwandte weitere mehr more weiterlesen read lesen recent latest letzte neueste"
    " neue aktuelle beliebte popular recommended auch interessieren archiv archive archives similaires"
    " relacionados 관련 최근",
    "navigation": "home startseite menu menü next previous weiter zurück vorheriger nächster older newer älter"
    " suche suchen search übersicht kontakt contact about über suivant précédent siguiente anterior"
    " sitemap top 이전 다음 목록 홈",
    "subscription": "newsletter abonnieren subscribe abonniere e-mail email mail rss feed adresse benachrichtigung"
    " benachrichtige login log anmelden registrieren sign register password passwort abmelden mitglied"
    " 구독 로그인",
    "privacy": "cookie cookies datenschutz datenschutzerklärung privacy agb terms policy consent akzeptieren"
    " accept zustimmung",
    "meta": "tags tag kategorie kategorien category categories schlagwörter schlagwort filed posted"
    " veröffentlicht published verfasst geschrieben autor author permalink bookmark abgelegt getaggt"
    " stichworte uhr updated by 작성자 카테고리 태그",
    "advertisement": "anzeige werbung advertisement sponsored affiliate amazon shop kaufen buy warenkorb bestellen",
}
TEXT_GROUPS = tuple(_TEXTS)

_STATES = (
    "category tag format type status has no not is with without post-type lang language highlight"
    " comment-open comment-closed comment-status comments-open comments-closed comments-status"
    " ping hentry js col lg md sm xs"
)
"""How class names begin that tell of a post's state, category or place in a grid, not of what the element is for."""
_MAX_NAME_CHARACTERS = 80
_MAX_NAMES = 24
_MAX_PARTS = 6
"""Parts of a name above which it is a heading's text made an id."""
_BODY = 1 << CLASS_GROUPS.index("body")
_TOLD_POINTS = 0x20000
"""Code points that are told apart; what lies beyond are rare ideographs."""


def groups_of_classes(names: Points) -> Integers:
    """The groups (a bit each) whose words the class names and the id of elements hold: (elements,).

    names: code points, those of each element with a NUL behind them.
    """
    limits = _MAX_NAMES, _MAX_NAME_CHARACTERS, _MAX_PARTS
    return kernels.groups_of_names(names, *_class_words(), limits, _BODY)


def groups_of_texts(lines: Points, max_characters: int) -> Integers:
    """The groups (a bit each) whose words lines hold, none for those of more characters: (lines,).

    lines: code points, those of each line with a NUL behind them; empty lines are passed over.
    """
    return kernels.groups_of_lines(lines, _text_words(), max_characters)


@cache
def _class_words() -> tuple[kernels.Words, kernels.Words, kernels.Words]:
    """Parts of names, their beginnings, and what tells of a state."""
    parts: dict[str, int] = {}
    stems: dict[str, int] = {}
    for number, words in enumerate(_CLASSES.values()):
        for word in words.split():
            part = word.rstrip("*")
            parts[part] = parts.get(part, 0) | 1 << number
            if word != part:
                stems[part] = 1 << number
    letters = {character: character.lower() for character in string.ascii_letters + "-"}
    small = {character: character for character in string.ascii_lowercase + "-"}
    return _tree(parts, letters), _tree(stems, letters), _tree(dict.fromkeys(_STATES.split(), 1), small)


@cache
def _text_words() -> kernels.Words:
    groups: dict[str, int] = {}
    for number, words in enumerate(_TEXTS.values()):
        for word in words.split():
            groups[word] = groups.get(word, 0) | 1 << number
    characters = map(chr, range(_TOLD_POINTS))
    return _tree(groups, {one: one.lower() for one in characters if one.isalnum() or one in "_©-"})


def _tree(groups: Mapping[str, int], letters: Mapping[str, str]) -> kernels.Words:
    """Words with their groups; `letters` are the characters that stand in words, with those that they are taken for."""
    symbols = {letter: number + 2 for number, letter in enumerate(sorted(set("".join(groups))))}
    table = np.full(ord(max(letters)) + 1, kernels.NO_LETTER, np.uint8)
    for character, letter in letters.items():
        table[ord(character)] = symbols.get(letter, kernels.OTHER_LETTER)
    states = {prefix: 0 for word in groups for prefix in accumulate(word, initial="")}
    states = {prefix: number for number, prefix in enumerate(sorted(states))}
    next_states = np.full((len(states), len(symbols) + 2), -1, np.int16)
    for prefix, state in states.items():
        if prefix:
            next_states[states[prefix[:-1]], symbols[prefix[-1]]] = state
    return kernels.Words(table, next_states, np.array([groups.get(prefix, 0) for prefix in states], np.int64))

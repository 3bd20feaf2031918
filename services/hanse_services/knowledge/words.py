"""From text to words: how Chinese, German and English are looked up in one index.

Every text and every query goes the same way: width and case are folded, German letters are spelled out as in
telephone books (ä as ae, DIN 5007-2), accents go, traditional Chinese becomes simplified, and Chinese is cut into
words, long ones and the shorter ones inside them. What remains differs only where the words do.
"""

import re
import unicodedata
from collections.abc import Iterable

import opencc

MAX_WORD_CHARACTERS = 64
"""Longer words are cut: nobody looks for them, and PostgreSQL takes 2,046 bytes at most."""
MIN_LETTERS = 4
"""Shorter words than this have too few trigrams to be told apart."""
MAX_SNIPPET_CHARACTERS = 200
MAX_SNIPPET_SOURCE_CHARACTERS = 20_000
"""Where to look for a snippet: beyond that, what is found is still found, only not shown."""
ENDING_CHARACTERS = 2
"""German and English inflect at the end of a word, mostly by this much."""

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"(?P<han>[{_HAN}]+)|(?:(?![{_HAN}])[^\W_])+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_PASSAGE_END = re.compile(r"(?<=[。！？!?\n])|(?<=\.)\s+")
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_TO_SIMPLIFIED = opencc.OpenCC("t2s")

# Words that stand in nearly every text and say nothing of it. They are left out of queries, never out of the index.
_CHINESE_FUNCTION_WORDS = """
    的 了 是 在 和 与 或 有 我 你 他 她 它 们 我们 你们 他们 不 也 都 就 而 及 着 把 被 让 给 对 从 到 吗 呢 吧 啊
    这 那 这个 那个 一个 什么 怎么 怎么办 如何 为什么 请 请问
"""
_GERMAN_FUNCTION_WORDS = """
    der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine ist sind war waren wird
    werden hat haben ich du er sie es wir ihr mein unser ihre mit von vom zu zum zur im in am an auf aus bei beim fuer
    ueber unter nach vor wie was wo wer warum wenn dass als auch noch nur schon sich so
"""
_ENGLISH_FUNCTION_WORDS = """
    the a an and or but not no is are was were be been has have had do does did i you he she it we they my our your
    this that these those with of to in on at for from by as how what where who why when if so
"""
_FUNCTION_WORDS = frozenset(f"{_CHINESE_FUNCTION_WORDS}{_GERMAN_FUNCTION_WORDS}{_ENGLISH_FUNCTION_WORDS}".split())


def normalise(text: str) -> str:
    """Return a text without what makes no difference to a search: case, width, accents, traditional characters."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_SPELLED_OUT)
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", folded))
    simplified: str = _TO_SIMPLIFIED.convert(unicodedata.normalize("NFC", bare))
    return simplified


def words_of(text: str, limit: int) -> list[str]:
    """Return the words of a text in order, normalised, `limit` at most. They consist of letters and digits only."""
    words: list[str] = []
    for match in _WORD.finditer(normalise(text)):
        cut = _cut_chinese(match[0]) if match["han"] else [match[0]]
        words.extend(word[:MAX_WORD_CHARACTERS] for word in cut if word.isalnum())
        if len(words) >= limit:
            break
    return words[:limit]


def _cut_chinese(text: str) -> list[str]:
    # Imported at the first Chinese text: its dictionary takes 35 MB, in each process that has it.
    import rjieba  # noqa: PLC0415

    words: list[str] = rjieba.cut_for_search(text)
    return words


def query_words(query: str, limit: int) -> list[str]:
    """Return the different words of a query that say something; all of them where none does."""
    words = list(dict.fromkeys(words_of(query, limit)))
    return [word for word in words if word not in _FUNCTION_WORDS] or words


def in_letters(word: str) -> bool:
    """Whether a word is written in letters and long enough to be compared letter by letter."""
    return len(word) >= MIN_LETTERS and not _WORD.match(word)["han"]  # type: ignore[index]


def snippet(texts: Iterable[str], words: Iterable[str]) -> str:
    """Return the passage of the texts in which the most of the words stand: the first such one, shortened."""
    stems = [_stem(word) for word in words]
    passages = (
        passage.strip()
        for text in texts
        for passage in _PASSAGE_END.split(text[:MAX_SNIPPET_SOURCE_CHARACTERS])
        if passage.strip()
    )
    best = max(passages, key=lambda passage: _count(stems, passage), default="")
    return best if len(best) <= MAX_SNIPPET_CHARACTERS else f"{best[: MAX_SNIPPET_CHARACTERS - 1]}…"


def _stem(word: str) -> str:
    return word[:-ENDING_CHARACTERS] if in_letters(word) and len(word) >= MIN_LETTERS + ENDING_CHARACTERS else word


def _count(stems: Iterable[str], passage: str) -> int:
    normal = normalise(passage)
    return sum(stem in normal for stem in stems)

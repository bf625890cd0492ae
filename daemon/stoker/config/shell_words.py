"""Bash's reading of assignments, without running anything: quoting, ``$NAME``, ``${NAME:-word}``, ``~`` and ``+=``.

``read_assignments`` accepts a file of nothing but assignments (with or without ``export``), comments and blank lines, and
gives every value exactly as bash would (``bash(1)``: QUOTING, EXPANSION, Assignment). What it cannot give exactly, it
rejects with the line's number: commands, arithmetic, arrays, further expansions. No library does this: shlex and
python-dotenv know neither nested defaults nor ``+=``, and bashlex is licensed under the GPL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stoker.config.bash_variables import Lookup, home, is_of_bash, made_by_bash

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_OPERATOR = re.compile(r":?[-=+]")
_END_OF_WORD = " \t\n;"
_METACHARACTERS = "|&<>()"
_SPECIAL = "@*#?!$-0123456789"  # parameters of a running shell
_SPLIT_NAME = re.compile(r"(\\\n)+[A-Za-z0-9_]")
_LOGIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

_DEEPEST = 50  # levels of ${NAME:-word}; far more than anybody writes, far fewer than Python's stack has room for


class ShellSyntax(Exception):
    """``line`` (from 1) of the text, and what is wrong there. ``is_bash``: bash itself could read it."""

    def __init__(self, line: int, reason: str, *, is_bash: bool = True) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.is_bash = is_bash


@dataclass(frozen=True, slots=True)
class Assignment:
    """``value`` is None for a bare ``export NAME``; ``own`` says that the variable's former value is part of the new one."""

    line: int
    name: str
    value: str | None
    own: bool = False


def read_assignments(text: str, lookup: Lookup, assign: Callable[[str, str], None]) -> Iterator[Assignment]:
    """Each assignment of ``text`` in order. ``lookup`` gives a variable's value or None when it is unset; ``assign`` is
    called for what ``${NAME:=word}`` sets. Raises ShellSyntax."""
    return _Reader(text, lookup, assign).statements()


class _Reader:
    def __init__(self, text: str, lookup: Lookup, assign: Callable[[str, str], None]) -> None:
        self._text, self._at = text, 0
        self._lookup, self._assign = lookup, assign
        self._depth = 0  # of ${...} within ${...}
        self._name = ""  # of the variable whose value is being read
        self._names: set[str] = set()  # the variables that this value has used

    # --- statements --------------------------------------------------------------------------------------------------

    def statements(self) -> Iterator[Assignment]:
        while self._skip_to_word():
            if self._take_keyword("export"):
                yield from self._export()
            else:
                yield from self._assignments()

    def _skip_to_word(self) -> bool:
        """Move past blanks, comments, newlines and ``;`` to the next word; False at the end of the text."""
        while self._at < len(self._text):
            if self._skip_blanks():
                continue
            if self._peek() not in "\n;":
                return True
            if self._peek() == ";" and not self._is_after_word():
                raise self._wrong("';' stands where an assignment is expected", is_bash=False)
            self._at += 1
        return False

    def _is_after_word(self) -> bool:
        before = self._text[: self._at].rstrip(" \t")
        return bool(before) and before[-1] not in "\n;"

    def _skip_blanks(self) -> bool:
        """Move past blanks, line continuations and a comment; whether there were any."""
        start = self._at
        while self._at < len(self._text):
            if self._peek() in " \t":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._peek() == "#" and (self._at == 0 or self._text[self._at - 1] in _END_OF_WORD):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                break
        return self._at > start

    def _take_keyword(self, keyword: str) -> bool:
        end = self._at + len(keyword)
        if self._text[self._at : end] != keyword or self._text[end : end + 1] not in ("", *_END_OF_WORD):
            return False
        self._at = end
        return True

    def _export(self) -> Iterator[Assignment]:
        count = 0
        while self._is_at_argument():
            line = self._line()
            bare = _NAME.match(self._text, self._at)
            if bare and self._text[bare.end() : bare.end() + 1] in ("", *_END_OF_WORD):
                self._at = bare.end()
                yield Assignment(line, bare[0], self._made_by_bash(bare[0]))
            else:
                yield self._assignment()
            count += 1
        if not count:
            raise self._wrong("export without NAME or NAME=VALUE")

    def _assignments(self) -> Iterator[Assignment]:
        while self._is_at_argument():
            yield self._assignment()

    def _is_at_argument(self) -> bool:
        self._skip_blanks()
        return self._at < len(self._text) and self._peek() not in "\n;"

    def _assignment(self) -> Assignment:
        line = self._line()
        match = _ASSIGNMENT.match(self._text, self._at)
        if match is None:
            end = self._text.find("\n", self._at)
            word = self._text[self._at : end if end >= 0 else None].partition(" ")[0]
            if word.endswith("\r"):
                raise self._windows_line()
            raise self._wrong(
                f"{word[:40]!r} is not NAME=VALUE, and this file is read, not run (a value with blanks needs quotes)"
            )
        if is_of_bash(match[1]):
            raise self._wrong(f"{match[1]} is set by bash itself")
        self._at = match.end()
        self._names, self._name = set(), match[1]
        value = self._word()
        self._name = ""
        own = match[1] in self._names
        if match[2]:
            value, own = (self._known(match[1]) or "") + value, True
        return Assignment(line, match[1], value, own)

    # --- words -------------------------------------------------------------------------------------------------------

    def _word(self) -> str:
        """The value of an assignment: quotes removed, variables and ``~`` expanded, nothing split."""
        if self._peek() == "(":
            raise self._wrong("an array cannot be exported")
        out = [self._tilde(":")]
        while self._at < len(self._text) and self._peek() not in _END_OF_WORD:
            if self._peek() in _METACHARACTERS:
                raise self._wrong(f"{self._peek()!r} needs quotes around it", is_bash=False)
            is_separator = self._peek() == ":"
            out.append(self._piece())
            if is_separator:
                out.append(self._tilde(":"))
        return "".join(out)

    def _piece(self) -> str:
        """The next piece of an unquoted word."""
        character = self._peek()
        if character == "'":
            return self._single_quoted()
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            return self._escaped()
        if character in "$`":
            return self._expansion(quoted=False)
        if character == "\r":
            raise self._windows_line()
        self._at += 1
        return character

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise self._wrong("a single quote is not closed", is_bash=False)
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        return text

    def _double_quoted(self) -> str:
        opened = self._at
        out: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            character = self._peek()
            if character == '"':
                self._at += 1
                return "".join(out)
            out.append(self._quoted_piece('"'))
        self._at = opened
        raise self._wrong("a double quote is not closed", is_bash=False)

    def _quoted_piece(self, also: str) -> str:
        """The next piece inside double quotes, where a backslash escapes only ``$ ` \\``, newline and ``also``."""
        character = self._peek()
        if character in "$`":
            return self._expansion(quoted=True)
        self._at += 1
        if character != "\\":
            return character
        following = self._peek()
        if following == "\n":
            self._at += 1
            return ""
        if following and following in '$`\\"' + also:
            self._at += 1
            return following
        return "\\"

    def _escaped(self) -> str:
        self._at += 1
        following = self._peek()
        if not following:
            raise self._wrong("a backslash ends the file", is_bash=False)
        self._at += 1
        if following != "\n":
            return following
        if self._peek() not in " \t\n":
            raise self._split_word()
        return ""

    def _tilde(self, ends: str) -> str:
        """``~`` or ``~user`` at the start of a word or after its ``:``; empty when there is none to expand."""
        if self._peek() != "~":
            return ""
        rest = re.compile(rf"~([^/ \t\n\r;{ends}]*)").match(self._text, self._at)
        assert rest is not None
        user = rest[1]
        if ends == "}" and self._text[rest.end() : rest.end() + 1].isspace():
            raise self._wrong("a blank after ~ inside ${...}")
        if user and not _LOGIN_NAME.fullmatch(user):
            if "\\" in user and self._text.startswith("\\\n", self._at + 1 + user.index("\\")):
                raise self._split_word()
            if any(character in user for character in "'\"\\$`"):  # quoted in part: bash leaves it as it is
                return ""
            raise self._wrong(f"'~{user}' has no meaning outside a running shell")
        folder = home(user, self._lookup)
        if folder is None:
            return ""
        self._at = rest.end()
        return folder

    # --- expansions --------------------------------------------------------------------------------------------------

    def _expansion(self, *, quoted: bool) -> str:
        following = self._text[self._at + 1 : self._at + 2]
        if self._peek() == "`" or following == "(":
            raise self._wrong("the value runs a command")
        if following == "{":
            return self._braced(quoted=quoted)
        name = _NAME.match(self._text, self._at + 1)
        if name:
            self._at = name.end()
            if _SPLIT_NAME.match(self._text, self._at):
                raise self._split_word()
            return self._value(name[0])
        if self._text.startswith("\\\n", self._at + 1):
            raise self._split_word()
        if following and following in _SPECIAL + "[":
            raise self._wrong(f"'${following}' has a value in a running shell only")
        if following and following in "'\"" and (not quoted or self._depth):
            raise self._wrong(f"$ before {following} is not supported: write the characters themselves")
        self._at += 1
        return "$"

    def _value(self, name: str) -> str:
        return self._known(name) or ""

    def _known(self, name: str) -> str | None:
        """The value that bash has for a variable when it reads this place; None when it is unset."""
        self._names.add(name)
        made = self._made_by_bash(name)
        return self._lookup(name) if made is None else made

    def _made_by_bash(self, name: str) -> str | None:
        """The value of a variable that bash sets and the environment does not hold; None for any other variable."""
        try:
            return made_by_bash(name, self._lookup)
        except LookupError:
            raise self._wrong(f"${name} has a value in a running shell only") from None

    def _braced(self, *, quoted: bool) -> str:
        start = self._at
        name = _NAME.match(self._text, self._at + 2)
        if name is None:
            raise self._wrong("of the forms ${...} only a variable's are supported")
        self._at = name.end()
        if self._peek() == "}":
            self._at += 1
            return self._value(name[0])
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            raise self._wrong(f"${{{name[0]}...}}: only ${{NAME}} and the operators :- - := = :+ + are supported")
        self._at = operator.end()
        known = self._known(name[0])
        has_value = known is not None and (known != "" or operator[0][0] != ":")
        used = has_value if operator[0][-1] == "+" else not has_value
        word = self._default_word(start, quoted=quoted, used=used)
        if operator[0][-1] == "+":
            return word if used else ""
        if used and operator[0][-1] == "=":
            self._assign(name[0], word)
        return word if used else known or ""

    def _default_word(self, start: int, *, quoted: bool, used: bool) -> str:
        """The word up to the closing brace. One that is not ``used`` is read all the same, and sets nothing."""
        assign = self._assign
        if not used:
            self._assign = _ignore
        if self._depth >= _DEEPEST:
            raise self._wrong(f"more than {_DEEPEST} levels of ${{...}} within each other")
        self._depth += 1
        out = [] if quoted else [self._tilde("}")]
        try:
            while self._at < len(self._text):
                character = self._peek()
                if character == "}":
                    self._at += 1
                    return "".join(out)
                if character in "<>" and self._text.startswith("(", self._at + 1):
                    raise self._wrong("the value runs a command")
                if not quoted and self._text.startswith(":~", self._at):
                    raise self._wrong("~ after : inside ${...}")
                if quoted and self._text.startswith("\\'", self._at):
                    raise self._wrong('\\\' inside "${...}" is not supported here')
                if quoted and character in "'\"":
                    out.append(self._quotes_within_quotes())
                elif character == '"':
                    out.append(self._double_quoted())
                else:
                    out.append(self._quoted_piece("}") if quoted else self._piece())
        finally:
            self._assign = assign
            self._depth -= 1
        self._at = start
        raise self._wrong("'${' is not closed", is_bash=False)

    def _quotes_within_quotes(self) -> str:
        """``'text'`` or ``"text"`` in the word of a ``"${NAME:-word}"``: bash removes the double quotes and keeps the single
        ones. What it makes of more than plain text between them depends on its version."""
        quote = self._peek()
        end = self._text.find(quote, self._at + 1)
        within = self._text[self._at + 1 : end]
        if end < 0 or not within or set("'\"}\\`$") & set(within):
            raise self._wrong(f'{quote} inside "${{...}}" is not supported here')
        self._at = end + 1
        return within if quote == '"' else f"'{within}'"

    # --- the text ----------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _windows_line(self) -> ShellSyntax:
        return self._wrong("the line ends as on Windows: convert the file with dos2unix", is_bash=False)

    def _split_word(self) -> ShellSyntax:
        return self._wrong("a backslash continues the line in the middle of a word")

    def _wrong(self, reason: str, *, is_bash: bool = True) -> ShellSyntax:
        return ShellSyntax(self._line(), f"{self._name}: {reason}" if self._name else reason, is_bash=is_bash)


def _ignore(name: str, value: str) -> None:
    """Set nothing."""

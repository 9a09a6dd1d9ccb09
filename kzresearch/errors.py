"""The project's own few kinds of error: each says what was found, where, and what to do."""


class KzresearchError(Exception):
    """Base of every error this package raises on purpose."""


class WorkbookError(KzresearchError):
    """A workbook that is not understood; no figure has been taken from it."""


class FormError(KzresearchError):
    """A text file of the user's store that does not describe a version of the form."""


class UnknownValueError(KzresearchError, ValueError):
    """A filter or parameter value that the data does not have."""


class ParameterError(KzresearchError, ValueError):
    """A notebook parameter that is unknown or of the wrong type."""


class SourceError(KzresearchError):
    """A raw file that is missing, has changed, or must be downloaded by hand."""


class OutputError(KzresearchError):
    """A folder or bucket that cannot be read or written; what is there is kept."""


class IncompleteSumWarning(UserWarning):
    """A national sum that lacks a region which reports in that period."""


def unknown_value(what: str, value: object, known: list[str]) -> UnknownValueError:
    """An error naming `value` and its near matches among `known`."""
    import difflib

    text = str(value)
    near = [k for k in known if k.casefold() == text.casefold()]
    near += [k for k in known if text and k.startswith(f"{text}:")][:5]
    near += difflib.get_close_matches(text, known, n=5, cutoff=0.5)
    near = list(dict.fromkeys(near))[:5]
    if not near:
        near = [k for k in known if str(value).lower() in k.lower()][:5]
    if near:
        hint = "near matches: " + ", ".join(near)
    else:
        hint = "known: " + ", ".join(known[:30]) + (" …" if len(known) > 30 else "")
    return UnknownValueError(f"unknown {what} {value!r}; {hint}")

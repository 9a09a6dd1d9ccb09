"""The project's own few kinds of error: each says what was found, where, and what to do."""


class KzresearchError(Exception):
    """Base of every error this package raises on purpose.

    >>> try:
    ...     kz.load_form_1m("2022-12", article="146", measure="registred")
    ... except kz.KzresearchError as error:
    ...     print(error)
    unknown measure 'registred'; near matches: registered, ...
    """


class WorkbookError(KzresearchError):
    """A workbook that is not understood; no figure has been taken from it.

    >>> kz.read_form_1m("Astana.XLSX")
    Traceback (most recent call last):
        ...
    kzresearch.errors.WorkbookError: Astana.XLSX: ...
    """


class FormError(KzresearchError):
    """A text file of the user's store that does not describe a version of the form.

    >>> from pathlib import Path
    >>> from kzresearch.store import store
    >>> Path(store().where, "forms").mkdir(parents=True)
    >>> _ = Path(store().where, "forms", "2024.toml").write_text("form = 2024")
    >>> kz.codebook(form="2024")
    Traceback (most recent call last):
        ...
    kzresearch.errors.FormError: 2024.toml: form = 2024 is no text; put it between quotes
    """


class UnknownValueError(KzresearchError, ValueError):
    """A filter or parameter value that the data does not have.

    >>> kz.case_flow("2022-13")
    Traceback (most recent call last):
        ...
    kzresearch.errors.UnknownValueError: unknown period '2022-13'; near matches: 2022-12, ...
    """


class ParameterError(KzresearchError, ValueError):
    """A notebook parameter that is unknown or of the wrong type.

    >>> kz.batch("case_flow", parameters={"regoin": "KZ-75"})
    Traceback (most recent call last):
        ...
    kzresearch.errors.ParameterError: ...
    """


class SourceError(KzresearchError):
    """A raw file that is missing, has changed, or must be downloaded by hand.

    >>> from kzresearch import sources
    >>> sources.files_named("acca_2021")
    Traceback (most recent call last):
        ...
    kzresearch.errors.SourceError: ...
    """


class OutputError(KzresearchError):
    """A folder or bucket that cannot be read or written; what is there is kept.

    >>> kz.results("nowhere")
    Traceback (most recent call last):
        ...
    kzresearch.errors.OutputError: there is no folder nowhere; name the one that a batch was run into
    """


class IncompleteSumWarning(UserWarning):
    """A national sum that lacks a region which reports in that period.

    >>> import warnings
    >>> warnings.simplefilter("error", kz.IncompleteSumWarning)  # from now on it is an error
    >>> _ = kz.ingest("reports/2023-12")  # of two regions
    >>> kz.load_form_1m("2023-12", "KZ", "R1", "146", "registered")
    Traceback (most recent call last):
        ...
    kzresearch.errors.IncompleteSumWarning: the sum for KZ in 2023-12 lacks KZ-10, KZ-11, ...
    """


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

"""Workbooks: small XLSX files, made of their parts."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

Cell = str | float | None

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def workbook(*sheets: Sequence[Sequence[Cell]]) -> bytes:
    """An XLSX file with these sheets; empty rows and cells are left out, as spreadsheet programs do."""
    names = [f"Sheet{at}" for at in range(1, len(sheets) + 1)]
    links = [f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>' for at, name in enumerate(names, 1)]
    relations = [
        f'<Relationship Id="r{at}" Type="{_OFFICE}/worksheet" Target="worksheets/{name}.xml"/>'
        for at, name in enumerate(names, 1)
    ]
    kinds = [f'<Override PartName="/xl/worksheets/{name}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for name in names]
    main = f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    xml = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    start = f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{xml}{main}{"".join(kinds)}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{start}</Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(relations)}'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{"".join(links)}</sheets>'
        "</workbook>",
    }
    for name, rows in zip(names, sheets, strict=True):
        lines = "".join(_row(at, row) for at, row in enumerate(rows, 1) if any(cell is not None for cell in row))
        parts[f"xl/worksheets/{name}.xml"] = f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, text in parts.items():
            packed.writestr(path, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}')
    return file.getvalue()


def _row(at: int, cells: Sequence[Cell]) -> str:
    found = [_cell(f"{chr(65 + column)}{at}", cell) for column, cell in enumerate(cells) if cell is not None]
    return f'<row r="{at}">{"".join(found)}</row>'


def _cell(place: str, cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
    return f'<c r="{place}"><v>{cell!r}</v></c>'

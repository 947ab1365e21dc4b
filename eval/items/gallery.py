"""Queries and a gallery: what is searched with, what is found, and which entries are right for which query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from eval.items.clusters import connected
from eval.items.item import BadItem, Item
from eval.items.loading import LoadedItems
from eval.items.prefix import Prefix
from eval.items.spellings import one_spelling
from eval.kinds import TEXT, Retrieve
from omni.media.item import Media

_MOST_NAMES = 3  # of right entries, as people are shown them


@dataclass(frozen=True)
class Entry:
    """One entry of a gallery.

    Attributes:
        prefix: its media; a text is a medium of the modality `text`.
        name: what people are shown.
        rows: the rows of the data that it belongs to.
    """

    prefix: Prefix
    name: str
    rows: frozenset[int]


@dataclass(frozen=True)
class Gallery:
    """What is found, and how many queries have nothing right in it and are left out."""

    entries: tuple[Entry, ...]
    num_left_out: int = 0


@dataclass(frozen=True)
class Query(Item):
    """A query: an item whose answers are entries of a gallery.

    Attributes:
        relevant: the places of the right entries.
        gallery: the gallery, the same for all queries.
    """

    relevant: tuple[int, ...] = ()
    gallery: Gallery = field(default=Gallery(()), compare=False, repr=False)


def queries_of(kind: Retrieve, loaded: LoadedItems) -> LoadedItems:
    """Return the queries that rows give, with their gallery; see `Retrieve` for which entries are right.

    Rows that have neither a query nor an entry are bad, and named.

    Raises:
        ValueError: there is no query with something right to find, or there are fewer than two entries.
    """
    rows = _Rows(kind, loaded)
    gallery = rows.gallery()
    by_row: dict[int, list[int]] = {}
    for place, entry in enumerate(gallery):
        for row in entry.rows:
            by_row.setdefault(row, []).append(place)
    queries: list[Query] = []
    num_left_out = 0
    found = rows.queries()
    # Queries that share what is right for them are no independent cases.
    clusters = connected([[str(loaded.items[row].cluster) for row in right_rows] for _, right_rows in found])
    for (query, right_rows), cluster in zip(found, clusters, strict=True):
        relevant = tuple(sorted({place for row in right_rows for place in by_row.get(row, ())}))
        if not relevant:
            num_left_out += 1
            continue
        names = [gallery[place].name for place in relevant[:_MOST_NAMES]]
        more = ", ..." if len(relevant) > _MOST_NAMES else ""
        target = " / ".join(names) + more
        queries.append(replace(query, relevant=relevant, target=target, references=(target,), cluster=cluster))
    if not queries or len(gallery) < 2:
        raise ValueError(
            f"the data hold {len(queries) + num_left_out} queries ({kind.query}), {num_left_out} of them without "
            f"anything right to find, and {len(gallery)} entries ({kind.gallery}); one query and two entries are needed"
        )
    shared = Gallery(tuple(gallery), num_left_out)
    items = tuple(replace(query, gallery=shared) for query in queries)
    return replace(loaded, items=items, bad=(*loaded.bad, *rows.bad))


class _Rows:
    """The rows of a task, taken apart into what is searched with and what is found."""

    def __init__(self, kind: Retrieve, loaded: LoadedItems) -> None:
        self.kind = kind
        self.items = loaded.items
        self.bad: list[BadItem] = []
        texts = [text for item in self.items for text in item.references]
        self.spelling: Mapping[str, str] = dict(zip(texts, one_spelling(texts), strict=True))
        self.rows_of_text: dict[str, set[int]] = {}
        self.sides: list[tuple[list[tuple[Media, ...]], list[tuple[Media, ...]]]] = []
        for row, item in enumerate(self.items):
            for text in item.references:
                self.rows_of_text.setdefault(self.spelling[text], set()).add(row)
            self.sides.append(_sides(kind, item))
            if not any(self.sides[-1]):
                parts = " and ".join(dict.fromkeys((*kind.query_parts, *kind.gallery_parts)))
                self.bad.append(BadItem(item.id, f"has no query and no entry of the gallery ({parts})"))

    def gallery(self) -> list[Entry]:
        """The entries; where rows with a text in common are right, those of the same content are one."""
        found: dict[object, Entry] = {}
        for row, (_, entries) in enumerate(self.sides):
            for number, media in enumerate(entries):
                key = self._content(media) if self.kind.right == "text" else (row, number)
                entry = found.get(key)
                if entry is None:
                    found[key] = Entry(Prefix(media, ""), name_of(media, self.items[row]), frozenset({row}))
                else:
                    found[key] = replace(entry, rows=entry.rows | {row})
        return [*found.values()]

    def queries(self) -> list[tuple[Query, set[int]]]:
        """The queries, each with the rows whose entries are right for it."""
        found: dict[object, tuple[Query, set[int]]] = {}
        for row, (sets, _) in enumerate(self.sides):
            item = self.items[row]
            for number, media in enumerate(sets):
                right_rows = {row}
                if self.kind.right == "text":
                    own = [
                        part.data.decode() for part in media if part.modality == TEXT and isinstance(part.data, bytes)
                    ]
                    for text in own or item.references:
                        right_rows |= self.rows_of_text[self.spelling.get(text, text)]
                merged = self.kind.right == "text" and self.kind.query == TEXT
                key = self._content(media) if merged else (row, number)
                if key in found:
                    continue
                name = item.id if len(sets) == 1 else f"{item.id}#{number + 1}"
                query = Query(
                    name, media, "", item.target, item.cluster, meta=item.meta, cluster_keys=item.cluster_keys
                )
                found[key] = (query, right_rows)
        return [*found.values()]

    def _content(self, media: Sequence[Media]) -> tuple[str, ...]:
        return tuple(
            self.spelling.get(part.data.decode(), "")
            if part.modality == TEXT and isinstance(part.data, bytes)
            else f"{part.modality} {part.content_hash()}"
            for part in media
        )


def name_of(media: Sequence[Media], item: Item) -> str:
    """Return what people are shown of an entry: its text, or its files with the first text of its row."""
    names = []
    for part in media:
        if part.modality == TEXT and isinstance(part.data, bytes):
            names.append(part.data.decode())
        else:
            names.append(part.describe())
    only_texts = all(part.modality == TEXT for part in media)
    return " + ".join(names) if only_texts else f"{' + '.join(names)} ({item.references[0]})"


def _sides(kind: Retrieve, item: Item) -> tuple[list[tuple[Media, ...]], list[tuple[Media, ...]]]:
    """What a row has to search with, and to be found: sets of media, each of which is one query or one entry."""
    both = {*kind.query_parts} & {*kind.gallery_parts} - {TEXT}
    query, gallery = [*item.media], [*item.media]
    for modality in both:
        own = [part for part in item.media if part.modality == modality]
        last = own[-1:] if len(own) > 1 else []  # a single one has nothing to find, or to be found by
        query = [part for part in query if part.modality != modality or (part in own[:-1])]
        gallery = [part for part in gallery if part.modality != modality or part in last]
    return _sets(kind.query_parts, query, item), _sets(kind.gallery_parts, gallery, item)


def _sets(parts: Sequence[str], media: Sequence[Media], item: Item) -> list[tuple[Media, ...]]:
    found = {part: _texts(item) if part == TEXT else [one for one in media if one.modality == part] for part in parts}
    if not all(found.values()):
        return []
    if len(parts) == 1:
        return [(one,) for one in found[parts[0]]]
    # A text has one wording in a set of several; the first stands for all.
    return [tuple(one for part in parts for one in (found[part][:1] if part == TEXT else found[part]))]


def _texts(item: Item) -> list[Media]:
    return [Media(TEXT, data=text.encode()) for text in dict.fromkeys(item.references)]

package projection

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// dumpPage is how many entries are read at once.
const dumpPage = 1024

// The lines of a dump (docs/spec/node.md, "Dump").
type (
	dumpLog struct {
		Log        string          `json:"log"`
		Entries    int64           `json:"entries"`
		Statements int64           `json:"statements"`
		Releases   int64           `json:"releases"`
		Keys       []digest.Digest `json:"keys,omitempty"`
	}
	dumpEntry struct {
		Log       string         `json:"log"`
		Index     int64          `json:"index"`
		Kind      Kind           `json:"kind"`
		LeafHash  tlog.Hash      `json:"leafHash"`
		Key       *digest.Digest `json:"key,omitempty"`
		Statement *digest.Digest `json:"statement,omitempty"`
		Type      string         `json:"type,omitempty"`
		Problem   string         `json:"problem,omitempty"`
		Subjects  []dumpSubject  `json:"subjects,omitempty"`
		Release   *dumpSaid      `json:"release,omitempty"`
		Rebuild   *dumpSaid      `json:"rebuild,omitempty"`
		Built     []any          `json:"provenance,omitempty"`
	}
	dumpSubject struct {
		Name   string         `json:"name"`
		SHA256 *digest.Digest `json:"sha256,omitempty"`
	}
	// dumpSaid has the columns of the tables, so that a difference in one of
	// them is a difference in the dump.
	dumpSaid struct {
		Row       []any   `json:"row"`
		Artifacts [][]any `json:"artifacts"`
	}
)

// Dump writes all that the tables say, as JSON lines in one order: for each log,
// by origin, a line about it and one for each of its entries. Equal logs, keys,
// and content give equal bytes, on any engine and whatever came first. It reads
// one state of the tables, however long it takes.
func (p *Projection) Dump(ctx context.Context, w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<16)
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		logs, err := dumpLogs(ctx, tx)
		if err != nil {
			return err
		}
		for i := range logs {
			if err := enc.Encode(logs[i]); err != nil {
				return err
			}
			if err := dumpEntries(ctx, tx, logs[i].Log, enc); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		return fmt.Errorf("dumping the projection: %w", err)
	}
	return nil
}

func dumpLogs(ctx context.Context, tx *store.Tx) ([]dumpLog, error) {
	var out []dumpLog
	err := query(ctx, tx, `SELECT origin, next_idx, statements, releases, key_ids FROM projected_log ORDER BY origin`, nil,
		func(scan func(...any) error) error {
			var l dumpLog
			var ids []byte
			if err := scan(&l.Log, &l.Entries, &l.Statements, &l.Releases, &ids); err != nil {
				return err
			}
			for ; len(ids) >= digest.Size; ids = ids[digest.Size:] {
				l.Keys = append(l.Keys, digest.Digest(ids[:digest.Size]))
			}
			out = append(out, l)
			return nil
		})
	return out, err
}

// query calls row for each row of the answer.
func query(ctx context.Context, tx *store.Tx, text string, args []any, row func(scan func(...any) error) error) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// dumpEntries writes the entries of a log, page by page.
func dumpEntries(ctx context.Context, tx *store.Tx, origin string, enc *json.Encoder) error {
	for from := int64(0); ; {
		page, err := entries(ctx, tx, `WHERE l.origin = $1 AND e.idx >= $2 ORDER BY e.idx LIMIT $3`, origin, from, dumpPage)
		if err != nil || len(page) == 0 {
			return err
		}
		end := page[len(page)-1].Index + 1
		out := make([]dumpEntry, len(page))
		at := map[int64]*dumpEntry{}
		for i, e := range page {
			out[i] = dumpEntry{
				Log: e.Origin, Index: e.Index, Kind: e.Kind, LeafHash: e.LeafHash, Key: some(e.Key),
				Statement: some(e.Envelope), Type: e.PredicateType, Problem: e.Problem,
			}
			at[e.Index] = &out[i]
		}
		if err := dumpDetails(ctx, tx, origin, from, end, at); err != nil {
			return err
		}
		for i := range out {
			if err := enc.Encode(out[i]); err != nil {
				return err
			}
		}
		from = end
	}
}

// some is a digest as JSON has it, nil for none.
func some(d digest.Digest) *digest.Digest {
	if d.IsZero() {
		return nil
	}
	return &d
}

const dumpRange = ` WHERE log_id = ` + idOf + ` AND idx >= $2 AND idx < $3 ORDER BY idx`

// dumpDetails adds what stands in the other tables. A row without its entry is
// an error: it could not be dumped.
func dumpDetails(ctx context.Context, tx *store.Tx, origin string, from, end int64, at map[int64]*dumpEntry) error {
	args := []any{origin, from, end}
	find := func(table string, index int64) (*dumpEntry, error) {
		if e := at[index]; e != nil {
			return e, nil
		}
		return nil, fmt.Errorf("%s has a row for entry %d of %s, which is not there: rebuild the tables", table, index, origin)
	}
	err := query(ctx, tx, `SELECT idx, name, sha256 FROM projected_subject`+dumpRange+`, pos`, args,
		func(scan func(...any) error) error {
			var index int64
			var s dumpSubject
			var sum []byte
			if err := scan(&index, &s.Name, &sum); err != nil {
				return err
			}
			d, err := toDigest(sum)
			if err != nil {
				return err
			}
			s.SHA256 = some(d)
			e, err := find("projected_subject", index)
			if err == nil {
				e.Subjects = append(e.Subjects, s)
			}
			return err
		})
	if err != nil {
		return err
	}
	set := newRowSet()
	err = dumpRows(ctx, tx, &set.release, dumpRange, args, func(index int64, row []any) error {
		e, err := find("projected_release", index)
		if err == nil {
			e.Release = &dumpSaid{Row: row, Artifacts: [][]any{}}
		}
		return err
	})
	if err != nil {
		return err
	}
	err = dumpRows(ctx, tx, &set.artifact, dumpRange+`, pos`, args, func(index int64, row []any) error {
		e, err := find("projected_artifact", index)
		if err == nil && e.Release == nil {
			err = fmt.Errorf("projected_artifact has a row for entry %d of %s, which is no release: rebuild the tables", index, origin)
		}
		if err == nil {
			e.Release.Artifacts = append(e.Release.Artifacts, row)
		}
		return err
	})
	if err != nil {
		return err
	}
	return dumpRebuilds(ctx, tx, set, origin, args, find)
}

// dumpRebuilds adds what was said of building releases again.
func dumpRebuilds(ctx context.Context, tx *store.Tx, set *rowSet, origin string, args []any, find func(string, int64) (*dumpEntry, error)) error {
	err := dumpRows(ctx, tx, &set.rebuild, dumpRange, args, func(index int64, row []any) error {
		e, err := find("projected_rebuild", index)
		if err == nil {
			e.Rebuild = &dumpSaid{Row: row, Artifacts: [][]any{}}
		}
		return err
	})
	if err != nil {
		return err
	}
	err = dumpRows(ctx, tx, &set.rebuilt, dumpRange+`, pos`, args, func(index int64, row []any) error {
		e, err := find("projected_rebuilt", index)
		if err == nil && e.Rebuild == nil {
			err = fmt.Errorf("projected_rebuilt has a row for entry %d of %s, which is no rebuild: rebuild the tables", index, origin)
		}
		if err == nil {
			e.Rebuild.Artifacts = append(e.Rebuild.Artifacts, row)
		}
		return err
	})
	if err != nil {
		return err
	}
	return dumpRows(ctx, tx, &set.provenance, dumpRange, args, func(index int64, row []any) error {
		e, err := find("projected_provenance", index)
		if err == nil {
			e.Built = row
		}
		return err
	})
}

// dumpRows reads the columns of a table but for the log's number, bytes as
// hexadecimal.
func dumpRows(ctx context.Context, tx *store.Tx, r *rows, where string, args []any, row func(int64, []any) error) error {
	text := "SELECT idx"
	for _, c := range r.columns[2:] {
		text += ", " + c
	}
	return query(ctx, tx, text+" FROM "+r.table+where, args, func(scan func(...any) error) error {
		var index int64
		values := make([]any, len(r.columns)-2)
		into := []any{&index}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = fmt.Sprintf("%x", b)
			}
		}
		return row(index, values)
	})
}

package release_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

var errBack = errors.New("as if it had not been")

// TestAdmitAllLaw: many at once are admitted where all are admitted one by one in
// their order, and leave the same rows; else none.
func TestAdmitAllLaw(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := newSigner(t)
		round, refused, taken := 0, 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			all := drawReleases(rt, t, func(version string, seq int64, previous *digest.Digest) *statement.Envelope {
				channel := fmt.Sprint("c", round)
				if seq == 0 {
					channel = ""
					version = fmt.Sprint(round, "-", version)
				}
				return sign(t, k, version, channel, seq, previous)
			})
			before := rapid.IntRange(0, len(all)).Draw(rt, "admitted before")
			var together, each error
			var rows, want []string
			err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				if each = oneByOne(ctx, tx, all[:before]); each != nil {
					return errBack
				}
				if together = release.AdmitAll(ctx, tx, named(t, all)); together == nil {
					rows, err = claims(ctx, tx)
				}
				return errors.Join(errBack, err)
			})
			if each != nil || !errors.Is(err, errBack) {
				return // of those before
			}
			_ = w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				if each = oneByOne(ctx, tx, all); each == nil {
					want, err = claims(ctx, tx)
				}
				return errors.Join(errBack, err)
			})
			if (together == nil) != (each == nil) || together != nil && !errors.Is(together, release.ErrConflict) {
				rt.Fatalf("together %v, one by one %v", together, each)
			}
			if !reflect.DeepEqual(rows, want) {
				rt.Fatalf("rows %q, want %q", rows, want)
			}
			if each == nil {
				taken++
			} else {
				refused++
			}
		})
		if taken < 10 || refused < 10 {
			t.Errorf("%d times admitted and %d times refused: it shows little", taken, refused)
		}
	})
}

// drawReleases draws a channel that mostly goes on as it should, and releases
// without one.
func drawReleases(rt *rapid.T, t *testing.T, sign func(version string, seq int64, previous *digest.Digest) *statement.Envelope) []*statement.Envelope {
	t.Helper()
	var all []*statement.Envelope
	var last *digest.Digest
	seq := int64(0)
	for i := range rapid.IntRange(0, 40).Draw(rt, "releases") {
		version := fmt.Sprint(i)
		switch rapid.IntRange(0, 60).Draw(rt, "kind") {
		case 0:
			all = append(all, sign("0", seq+1, last)) // a version that may be taken
		case 1:
			stranger := digest.Of([]byte("stranger"))
			all = append(all, sign(version, seq+2, &stranger)) // leaves one out
		case 2:
			if len(all) > 0 {
				all = append(all, all[0])
			}
		default:
			if i%3 == 0 {
				all = append(all, sign(version, 0, nil))
				continue
			}
			env := sign(version, seq+1, last)
			d := env.Digest()
			seq, last = seq+1, &d
			all = append(all, env)
		}
	}
	return all
}

func oneByOne(ctx context.Context, tx *store.Tx, all []*statement.Envelope) error {
	for _, env := range all {
		if err := release.Admit(ctx, tx, env); err != nil {
			return err
		}
	}
	return nil
}

func named(t testing.TB, all []*statement.Envelope) (out []release.Named) {
	t.Helper()
	for _, env := range all {
		r, err := env.Statement().Release()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, release.Named{
			Statement: env.Digest(), Product: r.Product, Channel: r.Channel, Version: r.Version, Seq: r.Seq, Previous: r.Previous,
		})
	}
	return out
}

// claims are all rows, in order.
func claims(ctx context.Context, tx *store.Tx) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT statement, product, channel, COALESCE(seq, -1), version, COALESCE(idx, -1) FROM release_claim ORDER BY statement`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d []byte
		var product, channel, version string
		var seq, idx int64
		if err := rows.Scan(&d, &product, &channel, &seq, &version, &idx); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%x %s %s %d %s %d", d, product, channel, seq, version, idx))
	}
	return out, rows.Err()
}

package farm_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

func eachDocket(t *testing.T, f func(t *testing.T, d *farm.Docket)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		f(t, &farm.Docket{DB: db, Now: c.now})
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func released(n int) digest.Digest { return digest.Of(fmt.Append(nil, "release ", n)) }

// TestDocketWants: each release is wanted from when it was seen until it has an
// order, in the order of the log, in pages of any size.
func TestDocketWants(t *testing.T) {
	eachDocket(t, func(t *testing.T, d *farm.Docket) {
		var list []farm.Wanted
		for i := range 10 {
			list = append(list, farm.Wanted{Release: released(i), Origin: "vendor.example", Index: int64(i / 2)})
		}
		ok(t, d.See(t.Context(), list))
		ok(t, d.See(t.Context(), list[3:7]))
		ok(t, d.Ordered(t.Context(), released(4), 17))
		ok(t, d.Ordered(t.Context(), released(5), farm.SaidBefore))
		ok(t, d.See(t.Context(), list)) // what is ordered stays so
		for _, size := range []int{1, 3, 100} {
			got := map[digest.Digest]bool{}
			var after *farm.Wanted
			for {
				page, err := d.Wanted(t.Context(), after, size)
				ok(t, err)
				if len(page) == 0 {
					break
				}
				for i := range page {
					if after != nil && page[i].Index < after.Index || got[page[i].Release] {
						t.Errorf("pages of %d: %+v after %+v", size, page[i], after)
					}
					got[page[i].Release] = true
					after = &page[i]
				}
			}
			if len(got) != 8 || got[released(4)] || got[released(5)] {
				t.Errorf("pages of %d: %d releases are wanted, want 8 without the ordered ones", size, len(got))
			}
		}
	})
}

// TestDocketKeepsTheFirstDraft: a second signature changes nothing, and what can
// never be logged is replaced by who knows it.
func TestDocketKeepsTheFirstDraft(t *testing.T) {
	eachDocket(t, func(t *testing.T, d *farm.Docket) {
		for _, try := range []string{"first", "second"} {
			got, err := d.Draft(t.Context(), released(1), 1, []byte(try))
			ok(t, err)
			if !bytes.Equal(got, []byte("first")) {
				t.Errorf("after %s: %s", try, got)
			}
		}
		if err := d.Redraft(t.Context(), released(1), 1, []byte("second"), []byte("third")); err == nil {
			t.Error("a draft that is not there was replaced")
		}
		ok(t, d.Redraft(t.Context(), released(1), 1, []byte("first"), []byte("third")))
		got, err := d.Draft(t.Context(), released(1), 1, []byte("fourth"))
		ok(t, err)
		if string(got) != "third" {
			t.Errorf("%s, want third", got)
		}
	})
}

// TestDocketAlerts: a release that is not identical after some that were is an
// alert until a later run is identical or somebody acknowledges it.
func TestDocketAlerts(t *testing.T) {
	eachDocket(t, func(t *testing.T, d *farm.Docket) {
		index := int64(0)
		say := func(n int, product string, o statement.Outcome) int64 {
			t.Helper()
			index++
			ok(t, d.Heard(t.Context(), &farm.Spoken{
				Index: index, Release: released(n), Origin: "vendor.example", Product: product, Version: fmt.Sprint(n), Outcome: o,
				Detail: "app differs", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
			}))
			return index
		}
		want := func(streaks ...string) {
			t.Helper()
			all, err := d.Alerts(t.Context())
			ok(t, err)
			var got []string
			for _, a := range all {
				got = append(got, fmt.Sprintf("%s after %d", a.Version, a.Streak))
			}
			if fmt.Sprint(got) != fmt.Sprint(streaks) {
				t.Fatalf("%v, want %v", got, streaks)
			}
		}
		say(1, "pkg:generic/app", statement.Different) // the first: nothing was identical before
		want()
		say(2, "pkg:generic/app", statement.Identical)
		say(3, "pkg:generic/app", statement.Identical)
		say(9, "pkg:generic/other", statement.Failed) // another product
		want()
		say(4, "pkg:generic/app", statement.Different)
		want("4 after 2")
		say(5, "pkg:generic/app", statement.Failed) // not the first after a good one
		want("4 after 2")
		say(4, "pkg:generic/app", statement.Failed) // again, and no better
		want("4 after 2")
		say(3, "pkg:generic/app", statement.Different) // a later run of a good one
		want("3 after 1", "4 after 2")
		say(4, "pkg:generic/app", statement.Identical)
		want("3 after 1")
	})
}

func TestDocketAcknowledges(t *testing.T) {
	eachDocket(t, func(t *testing.T, d *farm.Docket) {
		for i, o := range []statement.Outcome{statement.Identical, statement.Identical, statement.Failed} {
			ok(t, d.Heard(t.Context(), &farm.Spoken{
				Index: int64(10 + i), Release: released(i), Origin: "vendor.example", Product: "pkg:generic/app", Outcome: o, At: time.Unix(1, 0),
			}))
		}
		for _, index := range []int64{11, 13} {
			if err := d.Acknowledge(t.Context(), index); !errors.Is(err, farm.ErrUnknown) {
				t.Errorf("acknowledging %d: %v", index, err)
			}
		}
		for range 2 {
			ok(t, d.Acknowledge(t.Context(), 12))
		}
		all, err := d.Alerts(t.Context())
		ok(t, err)
		last, err := d.LastHeard(t.Context())
		ok(t, err)
		if len(all) != 0 || last != 12 {
			t.Errorf("%+v, %d", all, last)
		}
	})
}

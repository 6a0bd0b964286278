package ledger_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
)

// Whatever is added at the same time, in whatever batches, with the log closed
// and opened between: each leaf has one index for ever, one caller at most is
// told that it was new, indexes have no gaps, and the log is clean.
func TestModel(t *testing.T) {
	few(t, "12") // each run waits for several checkpoints
	storetest.URLs(t, func(t *testing.T, url string) {
		// One log for all runs: it only grows more interesting.
		db, dir := storetest.Open(t, url), t.TempDir()
		model := map[string]int64{}
		rapid.Check(t, func(rt *rapid.T) {
			o := options(t, dir, db)
			o.BatchSize = rapid.SampledFrom([]int{1, 2, 7, 64, 1024}).Draw(rt, "batch")
			o.BatchAge = time.Duration(rapid.IntRange(1, 20).Draw(rt, "age")) * time.Millisecond
			l, err := ledger.Open(t.Context(), o)
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 3).Draw(rt, "waves") {
				wave := rapid.SliceOfN(rapid.Uint16Range(0, 2000), 1, 120).Draw(rt, "wave")
				addWave(rt, l, model, wave)
			}
			if err := l.Close(context.Background()); err != nil {
				rt.Fatal(err)
			}
		})
		if r := check(t, dir, db); r.Size != int64(len(model)) || r.Reserved != 0 {
			t.Errorf("report %+v, the model has %d", r, len(model))
		}
	})
}

// few lowers the number of runs of rapid.Check within a test, unless the command
// line says how many.
func few(t *testing.T, n string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

// addWave adds leaves at the same time and compares with the model.
func addWave(rt *rapid.T, l *ledger.Ledger, model map[string]int64, wave []uint16) {
	type answer struct {
		leaf  string
		entry ledger.Entry
		err   error
	}
	answers := make([]answer, len(wave))
	var wg sync.WaitGroup
	for i, n := range wave {
		wg.Go(func() {
			leaf := leafOf(n)
			e, err := l.Add(context.Background(), leaf)
			answers[i] = answer{string(leaf), e, err}
		})
	}
	wg.Wait()
	firsts := map[string]int{}
	before := int64(len(model))
	for _, a := range answers {
		if a.err != nil {
			rt.Fatal(a.err)
		}
		if !a.entry.Duplicate {
			firsts[a.leaf]++
		}
		index, known := model[a.leaf]
		switch {
		case known && index != a.entry.Index:
			rt.Fatalf("%.20q is at %d, was at %d", a.leaf, a.entry.Index, index)
		case !known && a.entry.Index < before:
			rt.Fatalf("%.20q is new and at %d of %d", a.leaf, a.entry.Index, before)
		}
		model[a.leaf] = a.entry.Index
	}
	for leaf, n := range firsts {
		if n > 1 || model[leaf] < before {
			rt.Fatalf("%.20q: %d callers are told that it is new; it is at %d of %d", leaf, n, model[leaf], before)
		}
	}
	for leaf, index := range model {
		if index >= int64(len(model)) {
			rt.Fatalf("%.20q is at %d of %d", leaf, index, len(model))
		}
	}
}

// leafOf returns a leaf of many possible sizes.
func leafOf(n uint16) []byte {
	return append(fmt.Appendf(nil, "%d ", n), bytes.Repeat([]byte{byte(n)}, int(n)*int(n)%5000)...)
}

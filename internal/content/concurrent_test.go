package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// together runs n goroutines and reports their errors.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestSameAtOnce: many put the same content under one class, through two
// openings of the store, and all succeed.
func TestSameAtOnce(t *testing.T) {
	dir := t.TempDir()
	stores := []*content.Store{open(t, dir), open(t, dir)}
	for round := range 10 {
		p := some(uint64(round), 50_000)
		together(t, 8, func(i int) error {
			in, err := stores[i%2].Put(t.Context(), content.Circle, bytes.NewReader(p), plenty)
			if err == nil {
				err = stores[(i+1)%2].Check(t.Context(), in.Digest)
			}
			return err
		})
	}
	leftovers(t, dir)
}

// TestClassesAtOnce: many put the same content under different classes; those
// of exactly one class succeed, and it is there once.
func TestClassesAtOnce(t *testing.T) {
	dir := t.TempDir()
	stores := []*content.Store{open(t, dir), open(t, dir), open(t, dir)}
	for round := range 20 {
		p := some(uint64(round), 1000)
		var mu sync.Mutex
		won := map[content.Class]bool{}
		together(t, 8, func(i int) error {
			class := content.Classes()[i%4]
			_, err := stores[i%3].Put(t.Context(), class, bytes.NewReader(p), plenty)
			if err == nil {
				mu.Lock()
				won[class] = true
				mu.Unlock()
			} else if errors.Is(err, content.ErrConflict) {
				err = nil
			}
			return err
		})
		in, err := stores[0].Stat(digest.Of(p))
		if err != nil || len(won) != 1 || !won[in.Class] {
			t.Errorf("round %d: won by %v, found %+v, %v", round, won, in, err)
		}
	}
	leftovers(t, dir)
}

// TestMovingAtOnce: content that is moved between classes all the time is never
// out of sight, while others read, put, walk and open the store.
func TestMovingAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := some(1, 2000)
	d := put(t, s, content.Public, p).Digest
	const rounds = 150
	together(t, 6, func(i int) error {
		for n := range rounds {
			var err error
			switch i {
			case 0, 1:
				err = s.Reclassify(t.Context(), d, content.Classes()[(n+i)%4])
			case 2:
				_, err = s.Stat(d)
			case 3:
				_, _, err = s.ReadAll(t.Context(), d, plenty)
			case 4:
				seen := 0
				err = s.Walk(t.Context(), func(in content.Info) error {
					if in.Digest == d {
						seen++
					}
					return nil
				})
				if n++; err == nil && seen != 1 {
					err = fmt.Errorf("walk saw it %d times", seen)
				}
				if n >= rounds/10 {
					return err
				}
			case 5:
				_, err = content.Open(dir)
				if err == nil {
					_, err = s.Put(t.Context(), content.Sealed, bytes.NewReader(some(uint64(100+n), 100)), plenty)
				}
			}
			if err != nil {
				return fmt.Errorf("%d, round %d: %w", i, n, err)
			}
		}
		return nil
	})
	leftovers(t, dir)
}

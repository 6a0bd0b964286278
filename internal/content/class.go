package content

import (
	"context"
	"fmt"
	"os"
	"slices"

	"vitrine.example/digest"
)

// Class says who may have some content.
type Class string

// The access classes, from the widest to the narrowest.
const (
	Public Class = "public" // anyone
	Circle Class = "circle" // members' nodes
	Room   Class = "room"   // never leaves a reading room
	Sealed Class = "sealed" // encrypted to its readers
)

// Classes returns all classes, from the widest to the narrowest.
func Classes() []Class { return []Class{Public, Circle, Room, Sealed} }

// ParseClass reads the name of a class.
func ParseClass(s string) (Class, error) {
	c := Class(s)
	return c, c.check()
}

func (c Class) check() error {
	if !slices.Contains(Classes(), c) {
		return fmt.Errorf("access class %.20q: unknown: use one of %v", string(c), Classes())
	}
	return nil
}

func classDirs() []string {
	var dirs []string
	for _, c := range Classes() {
		dirs = append(dirs, string(c))
	}
	return dirs
}

// Reclassify moves d to another class. It returns when the move is durable;
// readers that have d open may read it to its end.
func (s *Store) Reclassify(ctx context.Context, d digest.Digest, to Class) error {
	if err := errorsFirst(ctx.Err(), to.check()); err != nil {
		return fmt.Errorf("reclassifying content %s: %w", d, err)
	}
	err := s.exclusively(func() error {
		from, err := s.find(d)
		if err != nil || from.Class == to {
			return err
		}
		if err := s.makeShard(to, d); err != nil {
			return err
		}
		if err := os.Rename(s.path(from.Class, d), s.path(to, d)); err != nil {
			return err
		}
		// The new name first: after a power cut the content may be found under
		// both names, and is then refused, but never under none.
		return errorsFirst(syncDir(s.shard(to, d)), syncDir(s.shard(from.Class, d)))
	})
	if err != nil {
		return fmt.Errorf("reclassifying content %s: %w", d, explain(s.dir, err))
	}
	return nil
}

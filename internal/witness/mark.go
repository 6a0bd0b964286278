package witness

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mark is what stands in the file beside the database: a name that the database
// knows as well, and how many growths may have left the house.
type mark struct {
	id    [16]byte
	count int64
}

const (
	markHeader = "vitrine-witness-state-v1"
	markSlot   = 512 // bytes: one sector
	markSlots  = 2   // written in turn: one torn by a power cut leaves the other
)

// errNoMark is returned where the file is missing or damaged.
var errNoMark = errors.New("no state of the witness")

// newMark makes a mark that no database knows yet.
func newMark(count int64) mark {
	m := mark{count: count}
	_, _ = rand.Read(m.id[:]) // never fails (package crypto/rand)
	return m
}

// text is the line of a mark, as long as a slot.
func (m mark) text() []byte {
	line := fmt.Sprintf("%s %x %019d", markHeader, m.id, m.count)
	line += " " + markSum(line)
	return []byte(line + strings.Repeat(" ", markSlot-1-len(line)) + "\n")
}

func markSum(line string) string {
	sum := sha256.Sum256([]byte(line))
	return hex.EncodeToString(sum[:8])
}

// parseMark reads one slot.
func parseMark(b []byte) (m mark, ok bool) {
	f := strings.Split(strings.TrimRight(string(b), " \n"), " ")
	if len(f) != 4 || f[0] != markHeader || f[3] != markSum(strings.Join(f[:3], " ")) {
		return m, false
	}
	id, err := hex.DecodeString(f[1])
	n, numErr := strconv.ParseInt(f[2], 10, 64)
	if err != nil || numErr != nil || len(id) != len(m.id) {
		return m, false
	}
	m = mark{[16]byte(id), n}
	return m, bytes.Equal(m.text(), b)
}

// readMark returns the newest whole slot.
func readMark(r io.Reader) (m mark, err error) {
	b, err := io.ReadAll(io.LimitReader(r, markSlots*markSlot+1))
	if err != nil {
		return m, err
	}
	found := false
	for ; len(b) >= markSlot; b = b[markSlot:] {
		if s, ok := parseMark(b[:markSlot]); ok && (!found || s.count > m.count) {
			m, found = s, true
		}
	}
	if !found {
		return m, fmt.Errorf("%w: the file is damaged", errNoMark)
	}
	return m, nil
}

// openMark opens the file for writing.
func openMark(path string) (*os.File, mark, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, mark{}, fmt.Errorf("%w: %w", errNoMark, err)
	} else if err != nil {
		return nil, mark{}, err
	}
	m, err := readMark(f)
	if err != nil {
		return nil, mark{}, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, m, nil
}

// saveMark replaces the file, durably.
func saveMark(path string, m mark) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // has another name by then, if all went well
	_, err = f.Write(bytes.Repeat(m.text(), markSlots))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

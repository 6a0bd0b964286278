package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // the object IDs of git
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

const (
	maxCommit = 1 << 20
	maxTree   = 64 << 20
)

// objects reads git objects through one "git cat-file --batch" and checks each
// against its ID.
type objects struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// commitObject is what a snapshot needs of a commit.
type commitObject struct {
	tree string
	time int64 // of the committer, seconds; 0 where a tar cannot hold it
}

// treeEntry is one line of a tree object.
type treeEntry struct{ mode, name, id string }

func (r *repository) objects(ctx context.Context) (*objects, error) {
	o := &objects{cmd: r.command(ctx, "cat-file", "--batch")}
	in, err := o.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.in, o.out = in, bufio.NewReaderSize(out, 256<<10)
	if err := o.cmd.Start(); err != nil {
		return nil, explain("cat-file", err, new(clipped))
	}
	return o, nil
}

// close ends the process; what it may say then does not matter, as every object
// that was used has been checked.
func (o *objects) close() error {
	err := o.in.Close()
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	return err
}

// read gives the content of an object of type typ to f and checks the whole of
// it against id afterwards.
func (o *objects) read(id, typ string, f func(size int64, r io.Reader) error) error {
	size, err := o.request(id, typ)
	if err != nil {
		return err
	}
	h := o.hash(len(id))
	fmt.Fprintf(h, "%s %d\x00", typ, size)
	body := io.LimitReader(o.out, size)
	if err := f(size, io.TeeReader(body, h)); err != nil {
		return err
	}
	if _, err := io.Copy(h, body); err != nil {
		return err
	}
	if c, err := o.out.ReadByte(); err != nil || c != '\n' {
		return fmt.Errorf("git cat-file ended within object %s", id)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != id {
		return fmt.Errorf("git object %s is corrupt (its hash is %s): run git fsck", id, got)
	}
	return nil
}

func (o *objects) hash(digits int) hash.Hash {
	if digits == 2*sha256.Size {
		return sha256.New()
	}
	return sha1.New()
}

// request asks for an object and returns its size.
func (o *objects) request(id, typ string) (int64, error) {
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return 0, fmt.Errorf("asking for git object %s: %w", id, err)
	}
	line, err := o.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("git object %s (%s) cannot be had: run git fsck, and fetch it where this is a partial clone: %w", id, typ, err)
	}
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != id {
		return 0, fmt.Errorf("git object %s (%s) cannot be had (%.80q): run git fsck, and fetch it where this is a partial clone", id, typ, strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 || f[1] != typ {
		return 0, fmt.Errorf("git object %s is a %.20s, not a %s", id, f[1], typ)
	}
	return size, nil
}

// all returns a whole object of at most limit bytes.
func (o *objects) all(id, typ string, limit int64) (data []byte, err error) {
	err = o.read(id, typ, func(size int64, r io.Reader) error {
		if size > limit {
			return fmt.Errorf("git %s %s has %d bytes, of at most %d: %w", typ, id, size, limit, ErrTooLarge)
		}
		data, err = io.ReadAll(r)
		return err
	})
	return data, err
}

// commit reads a commit object (gitformat: "tree ID", …, "committer NAME <MAIL> SECONDS ZONE").
func (o *objects) commit(id string) (commitObject, error) {
	data, err := o.all(id, "commit", maxCommit)
	if err != nil {
		return commitObject{}, err
	}
	var c commitObject
	head, _, _ := strings.Cut(string(data), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		switch k, v, _ := strings.Cut(line, " "); {
		case k == "tree" && c.tree == "":
			c.tree = v
		case k == "committer":
			c.time = committed(v)
		}
	}
	if len(c.tree) != len(id) {
		return c, fmt.Errorf("git commit %s names no tree", id)
	}
	return c, nil
}

// committed reads the time of a committer line, 0 where there is no usable one.
func committed(v string) int64 {
	f := strings.Fields(v[strings.LastIndexByte(v, '>')+1:])
	if len(f) == 0 {
		return 0
	}
	t, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || t < 0 || t > octalMax {
		return 0
	}
	return t
}

// tree reads a tree object: MODE, space, NAME, NUL, raw ID, for each entry.
func (o *objects) tree(id string) ([]treeEntry, error) {
	data, err := o.all(id, "tree", maxTree)
	if err != nil {
		return nil, err
	}
	var list []treeEntry
	for raw := len(id) / 2; len(data) > 0; {
		head, rest, ok := bytes.Cut(data, []byte{0})
		mode, name, ok2 := strings.Cut(string(head), " ")
		if !ok || !ok2 || len(rest) < raw {
			return nil, errors.New("git tree " + id + " is malformed: run git fsck")
		}
		list = append(list, treeEntry{mode, name, hex.EncodeToString(rest[:raw])})
		data = rest[raw:]
	}
	return list, nil
}

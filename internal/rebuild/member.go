package rebuild

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// An artifact that is an archive may be built member by member: npm packages
// with a binary inside, tar balls that the vendor packs. The archive itself is
// then the vendor's: it is never identical. It is explained where all that can
// run or be read of it is accounted for: every member is a file that the build
// made with the same bytes, or an input that the recipe calls private. Anything
// else in it, and anything that two readers of archives could see differently,
// makes it different.

// member is what became of one.
type member struct {
	Path    string         `json:"path"`
	Shipped *digest.Digest `json:"shipped,omitzero"`
	Rebuilt *digest.Digest `json:"rebuilt,omitzero"`
	How     string         `json:"how"` // identical, private, explained, different, missing
	Note    string         `json:"note,omitzero"`
	Report  *explained     `json:"report,omitzero"`
}

// Bounds of an archive that is looked into member by member.
const (
	maxMembers     = 100_000
	maxMemberBytes = 64 << 30
)

// errArchive is what makes an archive different by itself.
type errArchive struct{ error }

func (c *comparison) members() (*explained, error) {
	file, err := c.j.Shipped(c.ctx, c.shipped)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	x := &explained{Outcome: statement.Explained, Note: "the archive is the vendor's; every member of it was built again, or is an input that only the vendor has"}
	seen := map[string]bool{}
	err = eachMember(f, func(h *tar.Header, r io.Reader) error {
		name := path.Clean(h.Name)
		if seen[name] {
			return errArchive{fmt.Errorf("%.200q stands in it twice", name)}
		}
		if seen[name] = true; len(seen) > maxMembers {
			return errArchive{fmt.Errorf("more than %d members", maxMembers)}
		}
		if h.Typeflag == tar.TypeDir {
			return nil
		}
		m, err := c.member(name, h, r)
		if err != nil {
			return err
		}
		x.add(*m)
		return c.ctx.Err()
	})
	if bad := (errArchive{}); errors.As(err, &bad) {
		x.Outcome, x.Note = statement.Different, OneLine("the archive is not plain: "+bad.Error())
		return x, nil
	} else if err != nil {
		return nil, err
	}
	for _, o := range c.of {
		if !seen[path.Clean(o.Member)] {
			x.add(member{Path: o.Member, How: "missing", Note: "the build makes it, and it was not shipped"})
		}
	}
	return x, nil
}

func (x *explained) add(m member) {
	x.Members = append(x.Members, m)
	if !slices.Contains([]string{"identical", "private", "explained"}, m.How) && x.Outcome != statement.Different {
		x.Outcome, x.Note = statement.Different, "a member is not what the build makes: "+OneLine(m.Path)
	}
}

// member compares one member.
func (c *comparison) member(name string, h *tar.Header, r io.Reader) (*member, error) {
	m := &member{Path: name, How: "different"}
	if h.Typeflag != tar.TypeReg {
		m.Note = "it is neither a file nor a directory"
		return m, nil
	}
	if h.Mode&0o7000 != 0 {
		m.Note = "it is set-uid, set-gid or sticky"
		return m, nil
	}
	i := slices.IndexFunc(c.of, func(o recipe.Output) bool { return path.Clean(o.Member) == name })
	if i < 0 {
		return m, c.unbuilt(m, r)
	}
	made := c.made[c.of[i].Path]
	if made == nil || made.SHA256 == nil {
		m.Note = "what the build made is not a file"
		return m, nil
	}
	m.Rebuilt = made.SHA256
	copied, size, err := c.copyOut(r)
	if err != nil {
		return nil, err
	}
	defer os.Remove(copied.Path)
	copied.Name, copied.Size = path.Base(name), size
	m.Shipped = &copied.SHA256
	if h.Mode&0o111 != 0 && made.Mode&0o111 == 0 {
		m.Note = "it is executable, and what the build made is not"
		return m, nil
	}
	if copied.SHA256 == *made.SHA256 {
		m.How = "identical"
		return m, nil
	}
	if m.Report, err = c.explain(*copied, made); err != nil {
		return nil, err
	}
	m.How = string(m.Report.Outcome)
	return m, nil
}

// unbuilt is about a member that no output is.
func (c *comparison) unbuilt(m *member, r io.Reader) error {
	d, _, err := digest.OfReader(r, nil)
	if err != nil {
		return errArchive{err}
	}
	m.Shipped = &d
	if slices.Contains(c.private, d) {
		m.How = "private"
	} else {
		m.Note = "no output of the recipe is this member"
	}
	return nil
}

// copyOut copies a member to a file, to be looked into.
func (c *comparison) copyOut(r io.Reader) (*File, int64, error) {
	f, err := os.CreateTemp(c.j.Dir, "member-*")
	if err != nil {
		return nil, 0, err
	}
	d, n, err := digest.OfReader(io.TeeReader(r, f), nil)
	if err != nil {
		err = errArchive{err}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, 0, errors.Join(err, os.Remove(f.Name()))
	}
	return &File{Path: filepath.Clean(f.Name()), SHA256: d}, n, nil
}

// eachMember reads a tar file, plain or under gzip, that every reader reads the
// same way. What is wrong with it is an errArchive.
func eachMember(f io.Reader, each func(*tar.Header, io.Reader) error) error {
	br := bufio.NewReaderSize(f, 1<<16)
	var r io.Reader = br
	if head, err := br.Peek(2); err == nil && bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(br)
		if err != nil {
			return errArchive{err}
		}
		z.Multistream(false)
		r = z
	}
	limited := &io.LimitedReader{R: r, N: maxMemberBytes}
	tr := tar.NewReader(limited)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return errArchive{fmt.Errorf("not a tar file, plain or under gzip, that we read: %w", err)}
		}
		if err := plainHeader(h); err != nil {
			return errArchive{err}
		}
		if err := each(h, tr); err != nil {
			return err
		}
	}
	if err := onlyZeros(limited); err != nil {
		return errArchive{err}
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		return errArchive{errors.New("something follows its end")}
	}
	return nil
}

// plainHeader refuses what old and new readers of tar see differently.
func plainHeader(h *tar.Header) error {
	for k := range h.PAXRecords {
		if !slices.Contains([]string{"path", "mtime", "atime", "ctime", "uname", "gname", "uid", "gid"}, k) {
			return fmt.Errorf("%.200q has the extended header %.80q", h.Name, k)
		}
	}
	if name := path.Clean(h.Name); path.IsAbs(name) || name == ".." || len(name) > 3 && name[:3] == "../" {
		return fmt.Errorf("%.200q leads out of the archive", h.Name)
	}
	return nil
}

func onlyZeros(r io.Reader) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		if len(bytes.TrimRight(buf[:n], "\x00")) > 0 {
			return errors.New("something follows its last member")
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

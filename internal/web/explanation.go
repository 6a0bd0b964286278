package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/statement"
)

// An explanation (docs/spec/rebuild.md, "Explanation") is written by whoever says
// it, and is believed in nothing: it is read with bounds, members that are not
// known are passed over, and what does not fit is shown as it is.

// Bounds of what is read and shown of one explanation.
const (
	maxExplanation = 8 << 20
	maxShownFiles  = 64   // artifacts and members
	maxShownCauses = 64   // of one file
	maxShownDiffs  = 64   // of one file
	maxShownLines  = 1500 // of all hunks of the page
	maxShownText   = 2048 // bytes of one text
	maxNested      = 4    // members in members
)

// explanationPage is what differs, for people.
type explanationPage struct {
	Digest    digest.Digest
	Said      saidRebuild
	Held      bool
	Size      int64
	Files     []explainedFile
	More      int    // files that are not shown
	Raw       string // what could not be read as an explanation
	RawCut    bool
	LinesLeft int
}

// explainedFile is one file that is not what shipped.
type explainedFile struct {
	Name    string
	ID      string // of the heading
	Outcome string
	Note    string
	Report  *shownReport
	Members []shownMember
	More    int  // members that are not shown
	Odd     bool // there is a report, of a form that is not known here
}

// shownMember is a member of an archive that the build does not make as a whole.
type shownMember struct {
	Path, How, Note  string
	Shipped, Rebuilt string
}

// shownReport is what looked inside.
type shownReport struct {
	Rung             string
	Shipped, Rebuilt shownSide
	Compared         string
	Facts            []shownPair
	Causes           []shownCause
	MoreCauses       int
	Differences      []shownDifference
	MoreDifferences  int
	Unread, Ignored  []string
}

type shownSide struct {
	Name, Format, SHA256 string
	Size                 int64
}

type shownPair struct{ Where, Name, Shipped, Rebuilt string }

type shownCause struct {
	shownPair
	Means  string // in words
	Proved bool
	Proof  string
	Count  int64
}

type shownDifference struct {
	Where, What, Shipped, Rebuilt string
	Hunks                         []shownHunk
}

type shownHunk struct {
	Title string
	Rows  []hunkRow
	More  int64
}

// hunkRow is a line of both sides, beside each other.
type hunkRow struct {
	Shipped, Rebuilt string
	Same             bool
	HasA, HasB       bool
}

func (s *site) explanation(r *http.Request) (string, any, error) {
	ctx := r.Context()
	d, err := pathDigest(r)
	if err != nil {
		return "", nil, err
	}
	said, err := s.Projection.Explained(ctx, d) // what nobody names is not shown
	if err != nil {
		return "", nil, err
	}
	who, err := s.speakers(ctx)
	if err != nil {
		return "", nil, err
	}
	p := &explanationPage{Digest: d, Said: s.say(*said, who), LinesLeft: maxShownLines}
	raw, err := s.explanationBytes(ctx, d)
	if errors.Is(err, content.ErrUnknown) || errors.Is(err, errNotFound) {
		return "explanation", p, nil
	} else if err != nil {
		return "", nil, err
	}
	p.Held, p.Size = true, int64(len(raw))
	p.read(raw)
	return "explanation", p, nil
}

func (s *site) explanationBytes(ctx context.Context, d digest.Digest) ([]byte, error) {
	info, err := s.Content.Stat(d)
	if err != nil {
		return nil, err
	}
	if info.Class != content.Public || info.Size > maxExplanation {
		return nil, errNotFound
	}
	b, _, err := s.Content.ReadAll(ctx, d, maxExplanation)
	if err != nil {
		return nil, fmt.Errorf("reading the explanation %s: %w", d, err)
	}
	return b, nil
}

// The explanation as it is read.
type (
	wireExplanation struct {
		Artifacts []wireExplained `json:"artifacts"`
	}
	wireExplained struct {
		Name    string          `json:"name"`
		Outcome string          `json:"outcome"`
		Note    string          `json:"note"`
		Members []wireMember    `json:"members"`
		Report  json.RawMessage `json:"report"`
	}
	wireMember struct {
		Path    string          `json:"path"`
		Shipped string          `json:"shipped"`
		Rebuilt string          `json:"rebuilt"`
		How     string          `json:"how"`
		Note    string          `json:"note"`
		Report  json.RawMessage `json:"report"` // a wireExplained
	}
	wireReport struct {
		Schema   string   `json:"schema"`
		Rung     string   `json:"rung"`
		Shipped  wireSide `json:"shipped"`
		Rebuilt  wireSide `json:"rebuilt"`
		Compared struct {
			Files, Members, Read, Inflated int64
		} `json:"compared"`
		Facts       []wirePair       `json:"facts"`
		Causes      []wireCause      `json:"causes"`
		Differences []wireDifference `json:"differences"`
		Omitted     int64            `json:"omitted"`
		Unread      []string         `json:"unread"`
		Ignored     []string         `json:"ignored"`
	}
	wireSide struct {
		Name   string `json:"name"`
		Format string `json:"format"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	}
	wirePair struct {
		Where   string `json:"where"`
		Name    string `json:"name"`
		Shipped string `json:"shipped"`
		Rebuilt string `json:"rebuilt"`
	}
	wireCause struct {
		wirePair
		Members int64  `json:"members"`
		Example string `json:"example"`
		Proved  bool   `json:"proved"`
		Proof   string `json:"proof"`
	}
	wireDifference struct {
		Where   string     `json:"where"`
		What    string     `json:"what"`
		Shipped string     `json:"shipped"`
		Rebuilt string     `json:"rebuilt"`
		Hunks   []wireHunk `json:"hunks"`
	}
	wireHunk struct {
		Title string   `json:"title"`
		Lines []string `json:"lines"`
		More  int64    `json:"more"`
	}
)

// reportSchema is the form of a report that is shown in full (docs/spec/explain.md).
const reportSchema = statement.Prefix + "explain/v1"

// read fills the page.
func (p *explanationPage) read(raw []byte) {
	var w wireExplanation
	if err := json.Unmarshal(raw, &w); err != nil || len(w.Artifacts) == 0 {
		p.Raw, p.RawCut = show(raw)
		return
	}
	for i := range w.Artifacts {
		p.file(&w.Artifacts[i], "", 0)
	}
}

// file adds one file, and behind it those of its members that were looked into.
func (p *explanationPage) file(w *wireExplained, inside string, depth int) {
	if len(p.Files) >= maxShownFiles {
		p.More++
		return
	}
	f := explainedFile{Name: brief(inside + w.Name), ID: fmt.Sprint("file-", len(p.Files)+1), Outcome: brief(w.Outcome), Note: brief(w.Note)}
	if len(w.Report) > 0 && string(w.Report) != "null" {
		f.Report = p.report(w.Report)
		f.Odd = f.Report == nil
	}
	var deeper []*wireMember
	for i := range w.Members {
		m := &w.Members[i]
		if i >= maxShownFiles {
			f.More = len(w.Members) - i
			break
		}
		f.Members = append(f.Members, shownMember{brief(m.Path), brief(m.How), brief(m.Note), brief(m.Shipped), brief(m.Rebuilt)})
		if len(m.Report) > 0 && depth < maxNested {
			deeper = append(deeper, m)
		}
	}
	if !slices.Contains(allOutcomes, statement.Outcome(f.Outcome)) {
		f.Outcome = ""
	}
	p.Files = append(p.Files, f)
	for _, m := range deeper {
		var x wireExplained
		if json.Unmarshal(m.Report, &x) != nil {
			continue
		}
		if x.Name == "" {
			x.Name = m.Path
		}
		p.file(&x, inside+w.Name+" → ", depth+1)
	}
}

// report reads what looked inside; nil where its form is another.
func (p *explanationPage) report(raw []byte) *shownReport {
	var w wireReport
	if err := json.Unmarshal(raw, &w); err != nil || w.Schema != reportSchema {
		return nil
	}
	r := &shownReport{
		Rung: brief(w.Rung), Shipped: w.Shipped.shown(), Rebuilt: w.Rebuilt.shown(),
		Unread: briefs(w.Unread), Ignored: briefs(w.Ignored), MoreDifferences: int(max(w.Omitted, 0)),
	}
	r.Compared = fmt.Sprintf("%s of files", humanBytes(max(w.Compared.Read, 0)))
	if w.Compared.Members > 0 {
		r.Compared += fmt.Sprintf(", %s members of archives", commas(w.Compared.Members))
	}
	if w.Compared.Inflated > 0 {
		r.Compared += fmt.Sprintf(", %s after unpacking", humanBytes(w.Compared.Inflated))
	}
	for _, f := range w.Facts[:min(len(w.Facts), maxShownCauses)] {
		r.Facts = append(r.Facts, f.shown())
	}
	for _, c := range w.Causes[:min(len(w.Causes), maxShownCauses)] {
		x := shownCause{shownPair: c.shown(), Means: causeSays(c.Name), Proved: c.Proved, Proof: brief(c.Proof), Count: c.Members}
		if c.Example != "" {
			x.Where = strings.TrimSpace(x.Where + " (such as " + brief(c.Example) + ")")
		}
		r.Causes = append(r.Causes, x)
	}
	r.MoreCauses = len(w.Causes) - len(r.Causes)
	for i := range w.Differences[:min(len(w.Differences), maxShownDiffs)] {
		r.Differences = append(r.Differences, p.difference(&w.Differences[i]))
	}
	r.MoreDifferences += len(w.Differences) - len(r.Differences)
	return r
}

func (p *explanationPage) difference(w *wireDifference) shownDifference {
	d := shownDifference{Where: brief(w.Where), What: brief(w.What), Shipped: brief(w.Shipped), Rebuilt: brief(w.Rebuilt)}
	for _, h := range w.Hunks {
		x := shownHunk{Title: brief(h.Title), More: max(h.More, 0)}
		n := min(len(h.Lines), p.LinesLeft)
		x.Rows, x.More = beside(h.Lines[:n]), x.More+int64(len(h.Lines)-n)
		p.LinesLeft -= n
		d.Hunks = append(d.Hunks, x)
		if p.LinesLeft == 0 {
			break
		}
	}
	return d
}

// beside puts the lines of a hunk ("  both", "- shipped", "+ rebuilt") into two
// columns.
func beside(lines []string) (out []hunkRow) {
	var a, b []string
	flush := func() {
		for i := range max(len(a), len(b)) {
			var r hunkRow
			if r.HasA = i < len(a); r.HasA {
				r.Shipped = a[i]
			}
			if r.HasB = i < len(b); r.HasB {
				r.Rebuilt = b[i]
			}
			out = append(out, r)
		}
		a, b = nil, nil
	}
	for _, l := range lines {
		text := brief(strings.TrimSuffix(l, "\n"))
		switch {
		case strings.HasPrefix(l, "- "):
			if len(b) > 0 {
				flush()
			}
			a = append(a, text[2:])
		case strings.HasPrefix(l, "+ "):
			b = append(b, text[2:])
		default:
			flush()
			text = strings.TrimPrefix(text, "  ")
			out = append(out, hunkRow{Shipped: text, Rebuilt: text, Same: true, HasA: true, HasB: true})
		}
	}
	flush()
	return out
}

func (w wireSide) shown() shownSide {
	return shownSide{brief(w.Name), brief(w.Format), brief(w.SHA256), max(w.Size, 0)}
}

func (w wirePair) shown() shownPair {
	return shownPair{brief(w.Where), brief(w.Name), brief(w.Shipped), brief(w.Rebuilt)}
}

// brief is a text of strangers as a page shows it.
func brief(s string) string {
	if len(s) > maxShownText {
		s = strings.ToValidUTF8(s[:maxShownText], "") + "…"
	}
	return plain(s)
}

func briefs(in []string) (out []string) {
	for _, s := range in[:min(len(in), maxShownCauses)] {
		out = append(out, brief(s))
	}
	return out
}

// causes say in words what a cause is (docs/spec/explain.md).
var causes = map[string]string{
	"mtime":          "times at which files were packed",
	"owner":          "names of the users who packed the files",
	"umask":          "the group's right to write, which the packing machine's settings decide",
	"order":          "the order in which files were packed",
	"padding":        "zeros at the end of the archive",
	"pax-name":       "the number of a process, in the name of a header",
	"inode":          "numbers that the packing machine gave its files",
	"gzip-header":    "name, time and system, noted by the program that compressed",
	"encoder":        "another program, or another version of it, compressed the same content",
	"signature":      "the vendor's signature, which nobody else can make",
	"build-record":   "when and where it was built",
	"embedded-date":  "a date in a document",
	"derived-digest": "digests of files that are explained themselves",
	// Of executables.
	"go build id":            "a number that the Go tools give to what they build",
	"go build info":          "notes of the Go tools on how they were called",
	"gnu build-id":           "a number that the linker gave",
	"debuglink":              "the name of a file for debuggers",
	"symbol table":           "names for debuggers, which do not run",
	"dwarf":                  "tables for debuggers, which do not run",
	"build path":             "the directory in which it was built",
	"section table":          "the list of sections, which programs that run do not read",
	"date":                   "a date that the build put in",
	"pe timestamp":           "the time of the build",
	"pdb reference":          "the name of a file for debuggers",
	"mach-o uuid":            "a number that the linker gave",
	"authenticode signature": "the vendor's signature, which nobody else can make",
	"mach-o code signature":  "the vendor's signature, which nobody else can make",
}

func causeSays(name string) string { return causes[name] }

package statement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"vitrine.example/digest"
)

// Bounds of a release (docs/spec/release-v1.md).
const (
	maxProduct  = 1024
	maxFileName = 255       // bytes
	maxInteger  = 1<<53 - 1 // RFC 7493 section 2.2
	firstYear   = 2000      // of Published
	lastYear    = 9999      // what RFC 3339 can write
)

// Validate checks r against the subjects of its statement.
func (r *Release) Validate(subject []Subject) error {
	if err := CheckProduct(r.Product); err != nil {
		return fmt.Errorf("product: %w", err)
	}
	if err := CheckVersion(r.Version); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	if err := r.checkChannel(); err != nil {
		return err
	}
	if err := checkTime(r.Published); err != nil {
		return fmt.Errorf("published: %w", err)
	}
	if err := r.checkArtifacts(subject); err != nil {
		return err
	}
	if r.Source != nil {
		if err := r.Source.check(); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	if r.Recipe != nil {
		if err := r.Recipe.check(); err != nil {
			return fmt.Errorf("recipe: %w", err)
		}
	}
	if r.Notes != "" {
		if err := checkURL(r.Notes, isPageURL, "https or http"); err != nil {
			return fmt.Errorf("notes: %w", err)
		}
	}
	return nil
}

// CheckProduct asks for a canonical package URL (purl-spec) without version.
func CheckProduct(s string) error {
	if len(s) > maxProduct || !isURIText(s) {
		return fmt.Errorf("%.80q: want a package URL of at most %d ASCII characters", s, maxProduct)
	}
	p, err := packageurl.FromString(s)
	if err != nil {
		return fmt.Errorf("%.80q is not a package URL: %w", s, err)
	}
	if p.Version != "" {
		return fmt.Errorf("%.80q names a version: leave %q out", s, "@"+p.Version)
	}
	if again := p.ToString(); again != s {
		return fmt.Errorf("%.80q is not the canonical package URL, which is %.80q", s, again)
	}
	// What the library lets pass.
	if p.Type[0] < 'a' || p.Type[0] > 'z' {
		return fmt.Errorf("%.80q: the type begins with %q, want a letter", s, p.Type[0])
	}
	for segment := range strings.SplitSeq(p.Subpath, "/") {
		if p.Subpath != "" && (segment == "" || segment == "." || segment == "..") {
			return fmt.Errorf("%.80q: %q is no segment of a subpath", s, segment)
		}
	}
	return nil
}

// CheckVersion asks for what a release can have as its version.
func CheckVersion(s string) error {
	if !isVersion(s) {
		return fmt.Errorf("%.80q, want 1 to %d printable characters, no space at either end", s, maxVersion)
	}
	return nil
}

func (r *Release) checkChannel() error {
	switch {
	case r.Channel == "" && r.Seq != 0:
		return errors.New("seq: without a channel")
	case r.Channel == "" && r.Previous != nil:
		return errors.New("previous: without a channel")
	case r.Channel == "":
		return nil
	case !isChannel(r.Channel):
		return fmt.Errorf("channel: %.80q, want 1 to 64 of a-z, 0-9 and hyphen", r.Channel)
	case r.Seq < 1 || r.Seq > maxInteger:
		return fmt.Errorf("seq: %d, want 1 or more with a channel", r.Seq)
	case r.Seq == 1 && r.Previous != nil:
		return errors.New("previous: the first of a channel (seq 1) has none")
	case r.Seq > 1 && r.Previous == nil:
		return fmt.Errorf("previous: missing: seq %d needs the digest of the statement of seq %d", r.Seq, r.Seq-1)
	case r.Previous != nil && r.Previous.IsZero():
		return errNoDigest("previous")
	}
	return nil
}

func checkTime(t time.Time) error {
	switch {
	case t.Location() != time.UTC:
		return fmt.Errorf("%s is not in UTC", t.Format(time.RFC3339))
	case t.Nanosecond() != 0:
		return fmt.Errorf("%s is not in whole seconds", t.Format(time.RFC3339Nano))
	case t.Year() < firstYear || t.Year() > lastYear:
		return fmt.Errorf("year %d, want %d to %d", t.Year(), firstYear, lastYear)
	}
	return nil
}

func (r *Release) checkArtifacts(subject []Subject) error {
	if len(r.Artifacts) == 0 || len(r.Artifacts) > MaxSubjects {
		return fmt.Errorf("artifacts: %d of them, want 1 to %d", len(r.Artifacts), MaxSubjects)
	}
	if len(subject) != len(r.Artifacts) {
		return fmt.Errorf("artifacts: %d of them, and %d subjects: want one for each", len(r.Artifacts), len(subject))
	}
	seen := make(map[string]bool, len(r.Artifacts))
	for i := range r.Artifacts {
		a := &r.Artifacts[i]
		if err := a.check(); err != nil {
			return fmt.Errorf("artifacts/%d: %w", i, err)
		}
		if seen[a.Name] {
			return fmt.Errorf("artifacts/%d: name %.80q twice", i, a.Name)
		}
		seen[a.Name] = true
		if err := a.matches(&subject[i]); err != nil {
			return fmt.Errorf("artifacts/%d: %w", i, err)
		}
	}
	return nil
}

// matches reports whether the statement's subject names exactly a.
func (a *Artifact) matches(s *Subject) error {
	switch {
	case s.Name != a.Name:
		return fmt.Errorf("name %.80q, and the subject is %.80q", a.Name, s.Name)
	case len(s.Digest) != 1 || s.Digest["sha256"] != a.SHA256.String():
		return fmt.Errorf("sha256 %s is not the one digest of the subject", a.SHA256)
	case s.URI != "" || s.DownloadLocation != "" || s.MediaType != "" || len(s.Content) > 0 || len(s.Annotations) > 0:
		return errors.New("the subject has more than name and digest")
	}
	return nil
}

func (a *Artifact) check() error {
	switch {
	case a.Name == "." || a.Name == ".." || len(a.Name) > maxFileName ||
		!isFileText(a.Name) || slices.ContainsFunc([]byte(a.Name), isSlash):
		return fmt.Errorf("name: %.80q, want a file name of 1 to %d bytes: not . or .., printable, no slash or backslash", a.Name, maxFileName)
	case a.Size < 0 || a.Size > maxInteger:
		return fmt.Errorf("size: %d, want 0 or more", a.Size)
	case a.SHA256.IsZero():
		return errNoDigest("sha256")
	case a.SBOM == nil:
		return nil
	}
	if err := a.SBOM.check(); err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	return nil
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

func (e *Evidence) check() error {
	switch {
	case !isMediaType(e.MediaType):
		return fmt.Errorf("mediaType: %.80q, want a media type in lower case without parameters", e.MediaType)
	case e.Size < 0 || e.Size > maxInteger:
		return fmt.Errorf("size: %d, want 0 or more", e.Size)
	case e.SHA256.IsZero():
		return errNoDigest("sha256")
	}
	return nil
}

func (s *Source) check() error {
	switch {
	case !slices.Contains([]string{"git", "directory", "archive"}, s.Kind):
		return fmt.Errorf("kind: %.80q, want git, directory or archive", s.Kind)
	case !slices.Contains([]string{"public", "circle", "room"}, s.Access):
		return fmt.Errorf("access: %.80q, want public, circle or room", s.Access)
	case s.Size < 0 || s.Size > maxInteger:
		return fmt.Errorf("size: %d, want 0 or more", s.Size)
	case s.SHA256.IsZero():
		return errNoDigest("sha256")
	case s.Commit != "" && s.Kind != "git":
		return fmt.Errorf("commit: only source of kind git has one, this is of kind %s", s.Kind)
	case s.Commit != "" && !isCommit(s.Commit):
		return fmt.Errorf("commit: %.80q, want 40 or 64 lower-case hexadecimal digits", s.Commit)
	case s.URI == "":
		return nil
	}
	if err := checkURL(s.URI, isSourceURL, "https, http or git+https"); err != nil {
		return fmt.Errorf("uri: %w", err)
	}
	return nil
}

func checkURL(s string, is func(string) bool, schemes string) error {
	if len(s) > maxURI || !is(s) {
		return fmt.Errorf("%.80q: want an absolute URL (%s; host in lower case, no user, no spaces) of at most %d characters", s, schemes, maxURI)
	}
	return nil
}

// errNoDigest refuses the digest that stands for none.
func errNoDigest(name string) error {
	return fmt.Errorf("%s: missing, or all zero: %s stands for no digest", name, digest.Digest{})
}

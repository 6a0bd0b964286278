package release

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/package-url/packageurl-go"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// outline checks all words of a request before any file is read, and returns
// the release as far as it is known: without digests, number and time.
func (r *Request) outline() (*statement.Release, error) {
	product, version, err := splitProduct(r.Product, r.Version)
	if err != nil {
		return nil, err
	}
	if err := r.checkSource(); err != nil {
		return nil, err
	}
	rel := &statement.Release{Product: product, Version: version, Channel: r.Channel, Notes: r.Notes}
	return rel, r.rehearse(*rel)
}

// splitProduct takes the version out of a package URL and writes it canonically.
func splitProduct(product, version string) (string, string, error) {
	if product == "" {
		return "", "", errors.New("product: missing: name it by a package URL, such as pkg:generic/example/tool")
	}
	if len(product) > 4096 {
		return "", "", fmt.Errorf("product: %d bytes are too long for a package URL", len(product))
	}
	u, err := packageurl.FromString(product)
	if err != nil {
		return "", "", fmt.Errorf("product: %.80q is not a package URL: %w", product, err)
	}
	switch {
	case version == "":
		version = u.Version
	case u.Version != "" && u.Version != version:
		return "", "", fmt.Errorf("version: %.80q, but product names version %.80q: leave one of them out", version, u.Version)
	}
	if version == "" {
		return "", "", errors.New("version: missing: give it, or add it to the product as @version")
	}
	u.Version = ""
	return u.ToString(), version, nil
}

func (r *Request) checkSource() error {
	switch {
	case r.Source == "" && r.Kind != "":
		return errors.New("source: missing, though its kind is given")
	case r.Source == "" && r.Access != "":
		return errors.New("source: missing, though its access is given")
	case r.Source == "" && r.SourceURI != "":
		return errors.New("source: missing, though its URI is given")
	case !slices.Contains([]content.Class{"", content.Public, content.Circle, content.Room}, r.Access):
		return fmt.Errorf("access: %.40q: source may be %s, %s or %s", r.Access, content.Public, content.Circle, content.Room)
	case !slices.Contains([]snapshot.Kind{"", snapshot.Git, snapshot.Directory, snapshot.Archive}, snapshot.Kind(r.Kind)):
		return fmt.Errorf("kind: %.40q: source may be %s, %s or %s", r.Kind, snapshot.Git, snapshot.Directory, snapshot.Archive)
	}
	return nil
}

// access returns the class of the source.
func (r *Request) access() content.Class {
	if r.Access == "" {
		return content.Room
	}
	return r.Access
}

// rehearse validates the statement that will be signed, with stand-ins for what
// is not known yet, so that no word is found wrong after an hour of hashing.
func (r *Request) rehearse(rel statement.Release) error {
	some := digest.Of(nil)
	rel.Published = time.Unix(1_000_000_000, 0).UTC()
	if rel.Seq, rel.Previous = r.Seq, r.Previous; r.Channel != "" {
		switch {
		case r.Seq == 0 && r.Previous == nil:
			rel.Seq = 1
		case r.Seq == 0:
			rel.Seq = 2
		case r.Seq > 1 && r.Previous == nil:
			rel.Previous = &some
		}
	}
	if err := distinct(r.Artifacts); err != nil {
		return err
	}
	for _, path := range r.Artifacts {
		rel.Artifacts = append(rel.Artifacts, statement.Artifact{Name: filepath.Base(path), SHA256: some})
	}
	if r.Source != "" {
		rel.Source = &statement.Source{Kind: string(snapshot.Directory), Access: string(r.access()), SHA256: some, URI: r.SourceURI}
	}
	return rel.Validate(rel.Subjects())
}

// distinct refuses two files that would have one name in the release.
func distinct(paths []string) error {
	seen := make(map[string]string, len(paths))
	for _, path := range paths {
		name := filepath.Base(path)
		if other, ok := seen[name]; ok {
			return fmt.Errorf("artifacts: %q and %q have the same name: rename one of them", other, path)
		}
		seen[name] = path
	}
	return nil
}

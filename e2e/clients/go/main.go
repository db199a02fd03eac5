// Command go is net/http as it comes.
//
//	go VERSION URL AUTHORITY         fetches once by HTTP 1, 2 or h2c; prints the protocol and the SHA-256 of the body
//	go many NUMBER URL AUTHORITY     opens so many connections, fetches on all of them at once, and prints how often each body came
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// within is how long a fetch may take that stands alone.
const within = 10 * time.Second

func main() {
	begin := time.Now()
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Fprintln(os.Stderr, "took", time.Since(begin).Seconds())
	if err != nil {
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 4 && arguments[0] == "many":
		return many(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 3:
		return once(arguments[0], arguments[1], arguments[2])
	}
	return errors.New("go VERSION URL AUTHORITY, or go many NUMBER URL AUTHORITY")
}

func once(version, url, authority string) error {
	transport, err := transport(authority)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == "1")
	protocols.SetHTTP2(version == "2")
	protocols.SetUnencryptedHTTP2(version == "h2c")
	transport.Protocols = protocols
	answer, err := (&http.Client{Transport: transport, Timeout: within}).Get(url)
	if err != nil {
		return err
	}
	sum, err := digest(answer)
	if err != nil {
		return err
	}
	fmt.Println(answer.Proto, sum)
	return nil
}

func transport(authority string) (*http.Transport, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authority)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return transport, nil
}

// digest is the SHA-256 of a body, in hexadecimal digits.
func digest(answer *http.Response) (string, error) {
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", errors.New(answer.Status)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, answer.Body); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

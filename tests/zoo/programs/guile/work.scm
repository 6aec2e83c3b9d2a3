;; SPDX-License-Identifier: GPL-2.0-or-later
(use-modules (srfi srfi-1))

(define (digits n)
  (fold + 0 (map (lambda (c) (- (char->integer c) 48))
		 (string->list (number->string n)))))

(define out (open-output-file "digits.txt"))

(let loop ((i 1) (a 1) (seen '()))
  (when (<= i 70)
    (let* ((b (* a (+ (* i i) 1)))
	   (d (digits b))
	   (first (call/cc (lambda (k) (for-each (lambda (x) (if (> x d) (k x))) seen) 0))))
      (format #t "~a ~a ~a\n" i d first)
      (force-output)
      (format out "~a\n" b)
      (usleep 100000)
      (loop (+ i 1) b (cons d seen)))))
(close-port out)

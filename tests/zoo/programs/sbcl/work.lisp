;; SPDX-License-Identifier: GPL-2.0-or-later
(defvar *seen* (make-hash-table))
(defvar *seed* 41)

(defun next ()
  (setf *seed* (mod (* *seed* 16807) 2147483647)))

(with-open-file (out "seen.txt" :direction :output :if-exists :supersede)
  (dotimes (i 70)
    (let ((numbers (loop repeat 20000 collect (mod (next) 5000))))
      (dolist (n numbers) (incf (gethash n *seen* 0)))
      (let ((most (loop for n being the hash-keys of *seen* using (hash-value c)
			maximize (+ (* c 10000) n))))
	(format t "~a ~a ~a~%" i most (reduce #'+ (sort numbers #'<) :end 100))
	(finish-output)
	(format out "~a~%" most)))
    (sb-thread:join-thread (sb-thread:make-thread (lambda () (sleep 0.1))))))

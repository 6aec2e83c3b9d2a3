! SPDX-License-Identifier: GPL-2.0-or-later
! Bodies that attract each other.
program bodies
  use iso_c_binding
  implicit none
  interface
     integer(c_int) function usleep(us) bind(c)
       import
       integer(c_int), value :: us
     end function usleep
  end interface
  integer, parameter :: n = 60
  real(8) :: x(3, n), v(3, n), a(3, n), d(3), r
  integer :: i, j, k, step, s = 16
  integer(c_int) :: ignored

  do i = 1, n
     do k = 1, 3
        s = mod(s * 1103 + 12345, 65536)
        x(k, i) = s / 65536d0
     end do
  end do
  v = 0
  open (10, file='places.dat', access='direct', form='unformatted', recl=24 * n)
  do step = 1, 70
     do k = 1, 10
        a = 0
        do i = 1, n
           do j = 1, n
              d = x(:, j) - x(:, i)
              r = sum(d * d) + 1d-2
              a(:, i) = a(:, i) + d / (r * sqrt(r)) / n
           end do
        end do
        v = v + a * 1d-3
        x = x + v * 1d-3
     end do
     write (10, rec=step) x
     write (*, '(i4, 3f18.12)') step, sum(x, 2)
     flush (6)
     ignored = usleep(100000_c_int)
  end do
  close (10)
end program bodies

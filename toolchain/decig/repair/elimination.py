"""Taking channels from a consumer one by one, while those that stay take over what they can."""

import numpy as np

from decig.repair.readers import Reader


class Elimination:
    """What some channels of one consumer cost, and how that changes as they go.

    When channel r goes, the inverse covariance Q and the product G = MM' of the weights become

        Q - q_r s s'  and  G - s h' - h s'    with s = q / q_r and h = g - s g_r / 2,

    where q and g are their columns r. Only the diagonals are kept up to date: a column is computed
    when its channel goes, from q_r, s and h of those that went before.

    Attributes:
        labels: class of every channel that may go.
    """

    def __init__(self, reader: Reader, classes: np.ndarray) -> None:
        """Begin with all channels.

        Args:
            reader: the consumer.
            classes: of the channels that may go. What it costs follows from their own rows and
                columns of Q and G, though the others take over, too.
        """
        mine = np.isin(reader.labels, classes)
        self.labels = reader.labels[mine]
        self._inverse = reader.inverse[np.ix_(mine, mine)]
        self._product = reader.product[np.ix_(mine, mine)]
        self._of_inverse, self._of_product = (
            matrix.diagonal().copy() for matrix in (self._inverse, self._product)
        )
        self._stays = np.ones(len(self.labels), bool)
        self._gone = 0
        self._pivots = np.empty(len(self.labels))
        self._shares, self._halves = (np.empty(self._inverse.shape, order="F") for _ in range(2))

    def price(self) -> np.ndarray:
        """Energy lost for good if one more channel goes and the others are solved anew.

        L_j = |M_j|^2 / Q_jj   (Hassibi and Stork, "Second Order Derivatives for Network Pruning:
        Optimal Brain Surgeon", NeurIPS 1992, equation 5), and 0 for what is gone.
        """
        price = np.zeros(len(self.labels))
        np.divide(self._of_product, self._of_inverse, out=price, where=self._stays)
        return price

    def drop(self, label: int) -> None:
        """Take away every channel of a class; the last channel of all stays."""
        for row in np.flatnonzero(self._stays & (self.labels == label)):
            if self._stays.sum() > 1:
                self._take(int(row))

    def _take(self, row: int) -> None:
        count = self._gone
        pivots = self._pivots[:count]
        shares, halves = self._shares[:, :count], self._halves[:, :count]
        inverse = self._inverse[:, row] - shares @ (pivots * shares[row])
        product = self._product[:, row] - shares @ halves[row] - halves @ shares[row]
        share = inverse / inverse[row]
        half = product - share * (product[row] / 2)
        self._of_inverse -= share * inverse
        self._of_product -= 2 * share * half
        # What cannot be told from nothing is nothing.
        np.maximum(self._of_product, 0, out=self._of_product)
        self._pivots[count], self._shares[:, count], self._halves[:, count] = (
            inverse[row],
            share,
            half,
        )
        self._stays[row] = False
        self._gone += 1

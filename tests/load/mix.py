"""How much of what the load consists of. Figures that are compared are figures of the same mix."""

import math

SEED = 20260301
TIMEOUT_S = 10

# Of 50 users 2 are the control, 5 tell events, 43 ask for prices: about 90 requests/s, and 20 of the control.
SHOPPERS, MARKETS, CONTROLS = 9, 1, 2
SHOPPER_PER_S, MARKET_PER_S, CONTROL_PER_S = 2, 1, 10

HOT_SINGLE, COLD_SINGLE, HOT_BULK, COLD_BULK = 80, 10, 8, 2
BULK_ITEMS = 20

LOCATIONS = ("NY", "LA", "MIA", "CHI", "nowhere")


def cold_products(users: int, seconds: int) -> int:
    """More cold products than a run asks for; a bulk query asks for several at once."""
    per_task = (COLD_SINGLE + COLD_BULK * BULK_ITEMS) / (HOT_SINGLE + COLD_SINGLE + HOT_BULK + COLD_BULK)
    return math.ceil(users * SHOPPER_PER_S * seconds * per_task)

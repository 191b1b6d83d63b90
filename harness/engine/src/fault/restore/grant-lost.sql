REVOKE INSERT ON "Order" FROM trading_app

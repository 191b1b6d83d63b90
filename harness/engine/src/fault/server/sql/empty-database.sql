-- A database with nothing in it.
CREATE DATABASE "empty";

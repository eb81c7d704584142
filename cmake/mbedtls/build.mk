# Builds Mbed TLS with our configuration into one archive: $(OUT)/libmbedtls.a
#   make -f build.mk SRC=<unpacked mbedtls> OUT=<folder> CC=<compiler> FLAGS=<flags> [FLAGS_BMI2=<flags>]
# Its own CMake project and Makefile need Python for files that the package already contains.
# On x86-64 the X25519 code is compiled twice, plain and for processors with BMI2; x25519_choose.c picks at run time.
# The helpers in the second copy are made local to it.

HERE := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
OBJCOPY ?= objcopy
EVEREST := $(SRC)/3rdparty/everest

CPPFLAGS := -I$(HERE) -I$(SRC)/include -I$(SRC)/library -I$(EVEREST)/include -I$(EVEREST)/include/everest \
    -I$(EVEREST)/include/everest/kremlib '-DMBEDTLS_CONFIG_FILE="kluis_mbedtls_config.h"' -D_GNU_SOURCE
CFLAGS := -std=c11 -w $(FLAGS)

OBJECTS := $(patsubst $(SRC)/library/%.c,$(OUT)/%.o,$(wildcard $(SRC)/library/*.c)) $(OUT)/everest.o $(OUT)/x25519.o

ifeq ($(FLAGS_BMI2),)
OBJECTS += $(OUT)/hacl.o
else
OBJECTS += $(OUT)/hacl_plain.o $(OUT)/hacl_bmi2.o $(OUT)/x25519_choose.o
endif

$(OUT)/libmbedtls.a: $(OBJECTS)
	rm -f $@
	$(AR) rcs $@ $(OBJECTS)

$(OBJECTS): $(HERE)kluis_mbedtls_config.h $(HERE)build.mk $(OUT)/flags

$(OUT)/ecp.o: CPPFLAGS += -DKLUIS_MBEDTLS_NO_SELF_TEST

$(OUT)/%.o: $(SRC)/library/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/everest.o $(OUT)/x25519.o: $(OUT)/%.o: $(EVEREST)/library/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/hacl.o: $(EVEREST)/library/Hacl_Curve25519_joined.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/hacl_plain.o: $(EVEREST)/library/Hacl_Curve25519_joined.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -DHacl_Curve25519_crypto_scalarmult=kluis_x25519_plain -c -o $@ $<

$(OUT)/hacl_bmi2.o: $(EVEREST)/library/Hacl_Curve25519_joined.c
	$(CC) $(CPPFLAGS) $(CFLAGS) $(FLAGS_BMI2) -DHacl_Curve25519_crypto_scalarmult=kluis_x25519_bmi2 -c -o $@.all $<
	$(OBJCOPY) --keep-global-symbol=kluis_x25519_bmi2 $@.all $@

$(OUT)/x25519_choose.o: $(HERE)x25519_choose.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

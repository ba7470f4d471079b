#include "dump/vcpu.h"

#include <stdlib.h>

void vcpu_free(struct vcpu *vcpu)
{
    free(vcpu->data);
    vcpu->data = NULL;
}

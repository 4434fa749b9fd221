"""Settings, kept in the scene and so in the .blend file."""

# No postponed annotations: Blender reads these as values.
import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5556"
DEFAULT_CONTROL = "tcp://127.0.0.1:5557"


class FaceStreamSettings(bpy.types.PropertyGroup):
    """What is driven, by what, and how strongly."""

    endpoint: StringProperty(
        name="Stream",
        description="Where the tracker publishes, as it prints when it starts",
        default=DEFAULT_ENDPOINT,
    )
    control: StringProperty(
        name="Control", description="The tracker's control socket, for Recenter", default=DEFAULT_CONTROL
    )
    face_id: IntProperty(
        name="Face",
        description="Number of the face to follow. 0 follows the largest face and stays with it until it is lost",
        default=0,
        min=0,
    )
    face: PointerProperty(
        name="Face",
        description="Mesh whose shape keys have ARKit's names (jawOpen, JawOpen, jaw_open, eyeBlink_L …)",
        type=bpy.types.Object,
        poll=lambda _, candidate: candidate.type == "MESH",
    )
    head_object: PointerProperty(
        name="Head object",
        description="Object that turns with the head. For another rest pose or place, give it a parent and move that",
        type=bpy.types.Object,
    )
    head_motion: EnumProperty(
        name="Motion",
        description="What the head object takes over",
        items=[
            ("ROTATION", "Rotation", "Turns about its origin"),
            ("FULL", "Rotation and position", "Moves as the head was seen by a camera at its parent's origin"),
        ],
        default="ROTATION",
    )
    armature: PointerProperty(
        name="Armature", type=bpy.types.Object, poll=lambda _, candidate: candidate.type == "ARMATURE"
    )
    neck_bone: StringProperty(name="Neck")
    head_bone: StringProperty(name="Head")
    eye_left_bone: StringProperty(name="Left eye", description="The character's own left")
    eye_right_bone: StringProperty(name="Right eye", description="The character's own right")
    facing: EnumProperty(
        name="Looks along",
        description="Where the character looks in the armature's rest pose",
        items=[
            ("0", "-Y", "Blender's usual front"),
            ("90", "+X", ""),
            ("180", "+Y", ""),
            ("270", "-X", ""),
        ],
        default="0",
    )
    expression_strength: FloatProperty(name="Expression", default=1.0, min=0.0, soft_max=1.5, max=4.0)
    head_strength: FloatProperty(name="Head", default=1.0, min=0.0, soft_max=1.5, max=4.0)
    eye_strength: FloatProperty(name="Eyes", default=1.0, min=0.0, soft_max=1.5, max=4.0)
    neck_share: FloatProperty(
        name="Neck share", description="Share of the head's turn that the neck takes", default=0.4, min=0.0, max=1.0
    )
    mirror: BoolProperty(name="Mirror", description="Your left moves the character's right, as in a mirror")
    adopt_shape: BoolProperty(
        name="Shape of the person",
        description="Give the built head the shape of the tracked person while it is being learnt",
        default=True,
    )
    head_file: StringProperty(
        name="Face model",
        description="Another face model file (.npz) to build the head from; empty: the one that comes with the add-on",
        subtype="FILE_PATH",
    )
    take_name: StringProperty(name="Take", description="Takes are called this and numbered", default="Take")
    whole_frames: BoolProperty(
        name="Whole frames only",
        description="Put one key on each frame of the scene, interpolated, instead of keys at the exact times of the take",
    )


def settings_of(scene: bpy.types.Scene) -> FaceStreamSettings:
    return scene.facestream


def register() -> None:
    bpy.utils.register_class(FaceStreamSettings)
    bpy.types.Scene.facestream = PointerProperty(type=FaceStreamSettings)


def unregister() -> None:
    del bpy.types.Scene.facestream
    bpy.utils.unregister_class(FaceStreamSettings)

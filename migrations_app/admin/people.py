"""Users and groups. Nobody gives more than he has, and nobody changes those who have more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from axes.utils import reset
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from migrations_app import second_step
from migrations_app.admin.base import BaseAdmin
from migrations_app.admin.posting import Done, Refused, posted
from migrations_app.models import ApiToken, AppDevice

#: What makes a user more, or less, than others.
_STANDING = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")
#: Beside roles, for superusers alone: who is to be understood by his role has none of them.
_SINGLE = ("Single permissions", {"fields": ("user_permissions",), "classes": ("collapse",)})

#: Whoever does something to roles still has these afterwards, so that there is somebody who can undo it.
_KEEPING = ("change_user", "change_group")
_KEPT = "your own permission to change users and roles, which nobody takes from himself"

for model in (User, Group):
    admin.site.unregister(model)


def permissions_of(user: Any) -> QuerySet[Permission]:
    """What the user has, or would have again as an active one."""
    if user.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(Q(user=user.pk) | Q(group__user=user.pk))


def _locks_out(user: Any, roles: Collection[Any], left: Collection[Permission] = ()) -> bool:
    """Whether the user could change people no more if those roles gave no more than what is left of them."""
    if user.is_superuser:
        return False
    others = Q(user=user.pk) | Q(group__in=user.groups.exclude(pk__in=[role.pk for role in roles]))
    if user.groups.filter(pk__in=[role.pk for role in roles]).exists():
        others |= Q(pk__in=[each.pk for each in left])
    keeping = permissions_of(user).filter(content_type__app_label="auth", codename__in=_KEEPING)
    return bool(keeping.exclude(pk__in=Permission.objects.filter(others).values("pk")).exists())


def _have_no_more(rows: QuerySet[Permission], user: Any) -> bool:
    return user.is_superuser or not rows.exclude(pk__in=permissions_of(user).values("pk")).exists()


@admin.register(User)
class UserAdmin(DjangoUserAdmin, BaseAdmin):  # type: ignore[type-arg, misc]
    """People who use these pages."""

    form = UserChangeForm
    add_form = UserCreationForm
    add_form_template = "admin/change_form.html"
    change_password_form: Any = AdminPasswordChangeForm
    change_form_after_template = "parts/user_access.html"
    list_display = ("username", "email", "roles", "is_active", "has_second_factor", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email")}),
        ("Access", {"fields": ("groups", "is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "groups", "usable_password", "password1", "password2", "is_staff")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the list shows of each."""
        apps = AppDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
        users: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return users.annotate(second_factor=Exists(apps))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Single permissions for superusers only."""
        fieldsets = super().get_fieldsets(request, obj)
        return (*fieldsets, _SINGLE) if obj is not None and request.user.is_superuser else fieldsets

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        """Whoever is added here is to use these pages."""
        return super().get_changeform_initial_data(request) | {"is_staff": True}

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Fields in the words of this service."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "is_staff":
            field.label, field.help_text = "May sign in", "Off for people who use the API only, or not any more."
        if field is not None and db_field.name == "groups":
            field.label, field.help_text = "Roles", "What each may do is in docs/roles.md; several add up."
        return field

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer what the person has himself."""
        held = permissions_of(request.user)
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        if db_field.name == "groups" and not request.user.is_superuser:
            beyond = Group.objects.filter(permissions__in=Permission.objects.exclude(pk__in=held.values("pk")))
            kwargs["queryset"] = Group.objects.exclude(pk__in=beyond.values("pk")).order_by("name")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody changes his own standing; who does not manage groups gives none."""
        fixed = set(super().get_readonly_fields(request, obj))
        user: Any = request.user
        if obj is not None and obj.pk == user.pk:
            fixed |= set(_STANDING)
        if not user.is_superuser:
            fixed |= {"is_superuser", "user_permissions"}
        if not user.has_perm("auth.change_group"):
            fixed.add("groups")
        return tuple(fixed)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those who have more are left alone."""
        return super().has_change_permission(request, obj) and (obj is None or self._is_within(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same, and oneself too: somebody has to stay."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or (obj.pk != request.user.pk and self._is_within(request, obj)))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """With the tokens that the user made: they are programs', and stay when he goes."""
        row = context.get("original")
        if row is not None and request.user.has_perm("migrations_app.view_apitoken"):
            context["tokens_made"] = ApiToken.objects.filter(created_by=row.get_username())
        return super().render_change_form(request, context, *args, **kwargs)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's signature
        """The password and the audit log's entry of it change together."""
        user = self.get_object(request, id)
        if user is not None and user.pk == request.user.pk:
            # It could be taken away here, and whoever finds a session open does not know the old one.
            messages.info(request, "Your own password is changed on this page, with the one that you have.")
            return redirect("admin:password_change")
        if user is not None:
            self.remember(request, user)
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    @posted("auth.change_user")
    def unlock(self, request: HttpRequest, user: User) -> str:
        """Forget the wrong passwords that were typed under a name."""
        self._check(request, user)
        count = reset(username=user.username)
        return f"{user} may sign in again." if count else f"{user} was not locked out."

    @posted("auth.change_user")
    def remove_second_factor(self, request: HttpRequest, user: User) -> Done:
        """For who has lost both app and recovery codes."""
        self._check(request, user)
        if user.pk == request.user.pk:
            message = "Your own one is removed on its page, with a code."
            raise Refused(message)
        if not second_step.remove(user):
            message = f"{user} has no second factor."
            raise Refused(message)
        return Done(f"{user} signs in with the password alone.", before={"second_factor": "on"}, after={})

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        """Names of the groups."""
        names = ["superuser"] if user.is_superuser else []
        return ", ".join([*names, *(group.name for group in user.groups.all())])

    @admin.display(description="second factor", boolean=True)
    def has_second_factor(self, user: Any) -> bool:
        """Whether signing in asks for a code."""
        return bool(user.second_factor)

    def _is_within(self, request: HttpRequest, user: Any) -> bool:
        if user.is_superuser:
            return bool(request.user.is_superuser)
        return _have_no_more(permissions_of(user), request.user)

    def _check(self, request: HttpRequest, user: User) -> None:
        if not self.has_change_permission(request, user):
            raise PermissionDenied


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A role. Whoever has it himself stays able to change it."""

    #: Who changes it.
    by: Any = None

    def clean_permissions(self) -> Any:
        """Refuse what would leave the person unable to take it back."""
        chosen = self.cleaned_data["permissions"]
        if self.instance.pk and _locks_out(self.by, [self.instance], chosen):
            message = f"This would take away {_KEPT}. Somebody else who has it may."
            raise forms.ValidationError(message)
        return chosen


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, BaseAdmin):
    """Roles: groups of users with their permissions."""

    form = RoleForm
    list_display = ("name", "members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With the members, for the list."""
        return super().get_queryset(request).prefetch_related("user_set")

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Offer what the person has himself."""
        if db_field.name == "permissions" and request is not None and not request.user.is_superuser:
            kwargs["queryset"] = Permission.objects.filter(pk__in=permissions_of(request.user).values("pk"))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form knows who asks."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type("RoleForm", (form,), {"by": request.user})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Roles that let the person change users stay, unless another one does so too."""
        found, counts, permissions, protected = super().get_deleted_objects(objs, request)
        return found, counts, permissions, [*protected, _KEPT] if _locks_out(request.user, list(objs)) else protected

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Groups that have more than the person are left alone."""
        return super().has_change_permission(request, obj) and self._is_within(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same."""
        return super().has_delete_permission(request, obj) and self._is_within(request, obj)

    @admin.display(description="members")
    def members(self, group: Group) -> int:
        """How many users have it."""
        return len(group.user_set.all())

    def _is_within(self, request: HttpRequest, group: Any) -> bool:
        return group is None or _have_no_more(group.permissions.all(), request.user)
